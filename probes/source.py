"""Where samples come from: the one protocol of all sources, and whose numbers they are."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from probes.drop_rule import Rule
from probes.model import Enforced, Hook, HookId, Sample, Status


@dataclass(frozen=True, slots=True)
class Host:
    """Who the numbers are from. privilege: one sentence on what more of it would give, or ""."""

    name: str
    kernel: str
    privilege: str = ""
    demo: bool = False


@dataclass(frozen=True, slots=True)
class Feed:
    """How another host's numbers come here.

    latency: seconds there and back, None: not known. trouble: why nothing comes, or "". since: from
    when on, again: when it is tried again (monotonic seconds; 0: it is being tried).
    """

    latency: float | None = None
    trouble: str = ""
    since: float = 0.0
    again: float = 0.0


class Source(Protocol):
    """Where samples come from: the live kernel, a recording, the demo, another host.

    The screen knows this and nothing more of the kernel side. Everything is called from the
    event loop; what blocks runs in a thread behind it. interval: seconds between two readings;
    may be set while running.
    """

    host: Host
    interval: float

    @property
    def catalogue(self) -> Mapping[str, Hook]:
        """Every hook there is, by name, in the order of the screen."""
        ...

    def statuses(self) -> tuple[Status, ...]:
        """Every hook and target that is known now, attached or not, in a steady order."""
        ...

    async def start(self) -> None:
        """Begin: passive numbers at once, the better rungs as they come. Returns at once."""
        ...

    def samples(self, hook: str) -> AsyncIterator[tuple[Sample, ...]]:
        """One tuple for each tick: a sample for each target of the hook that stands."""
        ...

    async def attach(self, id: HookId, rung: str | None = None) -> Status:
        """Attach on a person's word, on the ladder's best rung or the pinned one.

        Returns where it stands now. Raises ProbeError where no rung stood or `id` is unknown.
        """
        ...

    async def detach(self, id: HookId) -> Status:
        """Detach; nothing to do is not an error."""
        ...

    async def complete(self, text: str) -> tuple[str, str]:
        """A hook of the user's own that is being written, as far as there is one way to go on;
        and what could follow, in words."""
        ...

    async def add_rule(self, interface: str, rule: Rule) -> Enforced:
        """Drop what the rule says on that interface, from now until its time to live has passed.

        One that is there already begins its life anew. Raises ProbeError where nothing can
        enforce it, or it may not be; `drop_rule.RuleError` tells what no rule may be.
        """
        ...

    async def cautions(self, interface: str, rule: Rule) -> tuple[str, ...]:
        """What a person should know before that rule is added: sentences, without a full stop.

        Whether it may cut them off, or their next login. Raises ProbeError where the rule may
        not be.
        """
        ...

    async def remove_rule(self, interface: str, rule: Rule) -> None:
        """End a rule (its time to live does not matter); nothing to do is not an error."""
        ...

    def rules(self) -> tuple[Enforced, ...]:
        """Every rule that lives, oldest first, with what it has dropped. Cheap."""
        ...

    async def close(self) -> None:
        """Detach everything, in reverse order."""
        ...


def next_tick(since: float, interval: float) -> float:
    """Seconds to the next tick, a whole number of intervals after that monotonic moment.

    Hooks that wait for it tick together. A timer that is a moment early does not tick twice.
    """
    left = interval - (time.monotonic() - since) % interval
    return left if left > interval / 100 else left + interval
