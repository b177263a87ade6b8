"""Source: the protocol of everything that yields samples, and the host that they are from."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from probes.drop_rule import DropRule
from probes.model import Enforced, Hook, HookId, ProcessFacts, Sample, Status


@dataclass(frozen=True, slots=True)
class Host:
    """Host of the numbers. privilege: what more of it would give, in a sentence, or "".

    netns: the network namespace that it is looked at from, if that is not the host's own; "".
    """

    name: str
    kernel: str
    privilege: str = ""
    demo: bool = False
    netns: str = ""

    @property
    def title(self) -> str:
        """Its name, and where it is looked at from."""
        where = self.netns if self.netns.startswith("netns of ") else f"netns {self.netns}"
        return f"{self.name} ({where})" if self.netns else self.name


@dataclass(frozen=True, slots=True)
class Feed:
    """State of the connection to another host.

    latency: seconds there and back, None: not known. trouble: why nothing comes, or "". since:
    since when. again: when to reconnect (monotonic seconds; 0: it is being tried).
    """

    latency: float | None = None
    trouble: str = ""
    since: float = 0.0
    again: float = 0.0


class Source(Protocol):
    """Source of samples: the live kernel, a recording, the demo, another host.

    The screen knows this and nothing more of the kernel side. Everything is called from the event
    loop; blocking work runs in a thread behind it. interval: seconds between two readings; may be
    set while running.
    """

    host: Host
    interval: float

    @property
    def catalogue(self) -> Mapping[str, Hook]:
        """Every hook, by name, in the order of the screen."""
        ...

    def statuses(self) -> tuple[Status, ...]:
        """Return every known hook and target, attached or not, in a steady order."""
        ...

    async def start(self) -> None:
        """Begin, with passive numbers at once and the better rungs as they come. Return at once."""
        ...

    def samples(self, hook: str) -> AsyncIterator[tuple[Sample, ...]]:
        """Yield one tuple for each tick: a sample for each attached target of the hook."""
        ...

    async def attach(self, id: HookId, rung: str | None = None) -> Status:
        """Attach when the user asks, on the ladder's best rung or the pinned one.

        Return the new status. Raises ProbeError where no rung could be attached or `id` is unknown.
        """
        ...

    async def detach(self, id: HookId) -> Status:
        """Detach; that nothing is attached is not an error."""
        ...

    async def complete(self, text: str) -> tuple[str, str]:
        """Complete the text of a user's own hook, as far as there is only one way to continue.

        Return the text, and what could follow, in words.
        """
        ...

    async def add_rule(self, interface: str, rule: DropRule) -> Enforced:
        """Drop what the rule says on that interface, from now until its time to live has passed.

        A rule that is there already starts its time again. Raises ProbeError where nothing can
        enforce it, or it is not allowed; `drop_rule.RuleError` tells which rules are impossible.
        """
        ...

    async def cautions(self, interface: str, rule: DropRule) -> tuple[str, ...]:
        """Return what the user should know before adding that rule: sentences without a full stop.

        They say whether it may cut off the user, or the next login. Raises ProbeError where the
        rule is not allowed.
        """
        ...

    async def remove_rule(self, interface: str, rule: DropRule) -> None:
        """End a rule with any time to live; that there is none is not an error."""
        ...

    def rules(self) -> tuple[Enforced, ...]:
        """Return every rule in force, oldest first, with what it has dropped. Cheap."""
        ...

    def knob(self, name: str) -> str | None:
        """Return a kernel parameter's value there now, such as net.core.rmem_max; None: unknown."""
        ...

    def process(self, pid: int) -> ProcessFacts | None:
        """Return what is known there of a process; None: nothing."""
        ...

    async def close(self) -> None:
        """Detach everything, in reverse order."""
        ...


def next_tick(since: float, interval: float) -> float:
    """Return the seconds to the next tick: a whole number of intervals after `since` (monotonic).

    Hooks that wait for it tick together. A timer that is a moment early does not tick twice.
    """
    left = interval - (time.monotonic() - since) % interval
    return left if left > interval / 100 else left + interval
