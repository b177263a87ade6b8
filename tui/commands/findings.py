"""`ebpftop findings`: what is wrong, how much, since when and because of whom."""

from __future__ import annotations

import argparse
import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from probes.analysis import since_boot
from probes.analysis.cases import words
from probes.analysis.cases.judgement import blind, needs, passive_only, read_once, wants
from probes.errors import ProbeError
from probes.model import HookId, Sample
from tui.commands import _options
from tui.commands._help import WATCHED
from tui.commands._judging import LiveJudgement
from tui.commands._run import UsageError, batch, here, make_live, missing, say, verdict
from tui.output import colour
from tui.output.document import beginning, dumps
from tui.output.findings import FoundWrong, blind_json
from tui.output.scope import Scope

if TYPE_CHECKING:
    from probes.sources.live.source import Live

HELP = "say what is wrong, how much, since when and because of whom"
ORDER = 25
EXAMPLES = {
    "sudo ebpftop findings": "what is wrong in the next three seconds",
    "sudo ebpftop findings --for 30 --json | jq '.findings[].what'": "for a script",
    "sudo ebpftop findings || page-somebody": "on an alarm, or if findings cannot tell",
}
STATUSES = {
    0: "nothing is wrong",
    1: "something is wrong now, and somebody is harmed by it (an alarm)",
    2: "wrong usage",
    3: "cannot tell: a needed hook is not read, or nobody is in the scope (stderr says why)",
    "128+n": WATCHED["128+n"],
}
NOTHING, WRONG, UNKNOWN = 0, 1, 3
_STEP = 1.0
"""Seconds from one reading to the next, about."""
_NAMED = 3
"""Hooks that a sentence says are not read."""
_MOST_ASKED = 5
"""Hooks that are attached for what they tell of findings."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--for",
        dest="seconds",
        metavar="SECONDS",
        type=_options.seconds,
        default=3.0,
        help="how long to watch (default 3)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    _options.color_option(parser)
    parser.add_argument(
        "--all", action="store_true", help="also print what the settings call ordinary here"
    )
    _options.scope_options(parser)
    _options.hook_options(parser)


def run(arguments: argparse.Namespace) -> int:
    asked = {id.hook for id in arguments.hooks or ()}
    if asked and not asked.intersection(needs()):
        raise UsageError(
            f"findings cannot judge by {', '.join(sorted(asked))} alone: {_judged_by()}"
        )

    scope = here(arguments)
    say(nobody := missing(scope))

    async def watch(live: Live) -> int:
        watched = _FindingsWatch(live, scope, alone=bool(asked))
        await watched.through(arguments.seconds)
        text = watched.as_json() if arguments.json else watched.as_text(every=arguments.all)
        print(colour.painted(text, arguments.color))
        verdict(live, arguments, watched.last)
        if any(finding.alarming for finding in watched.wrong.findings):
            return WRONG
        if blindness := watched.blindness():
            say([blindness])
            return UNKNOWN
        return UNKNOWN if nobody else NOTHING

    return batch(make_live(arguments), watch)


def _judged_by() -> str:
    return f"name at least one of {', '.join(needs())}"


class _FindingsWatch:
    """The readings of one watch, which are judged as they come.

    alone: whether nothing may be attached but what was named.
    """

    def __init__(self, live: Live, scope: Scope, *, alone: bool) -> None:
        self._scope = scope
        self._live, self._begin, self._step = live, time.monotonic(), _STEP
        self._judged = LiveJudgement(live)
        self._asked: set[HookId] = set()
        self._alone = alone

    @property
    def wrong(self) -> FoundWrong:
        return self._judged.wrong.within(self._scope)

    @property
    def last(self) -> list[Sample]:
        """The last reading."""
        return [snapshot.sample for snapshot in self._judged.there]

    async def through(self, seconds: float) -> None:
        """Read at even times, the first at once and the last at the end."""
        await self._read()
        times = max(round(seconds / _STEP), 1) if seconds else 0
        for n in range(1, times + 1):
            self._step = seconds / times
            await self._ask_more()
            await asyncio.sleep(self._begin + n * self._step - time.monotonic())
            await self._read()

    async def _read(self) -> None:
        self._judged.take(await self._live.read())

    async def _ask_more(self) -> None:
        """Attach what tells more of what is wrong, such as whose calls fail."""
        for want in wants(self._judged.facts):
            if self._alone or want in self._asked or len(self._asked) == _MOST_ASKED:
                continue
            self._asked.add(want)
            with suppress(ProbeError):  # then nobody is named
                await self._live.attach(want)

    def _usual_known_in(self) -> float:
        """Return the seconds until usual values are known; 0: they are."""
        return self._judged.facts.learning(needs()) * self._step

    # -- what is said ----------------------------------------------------------------------------

    def as_json(self) -> str:
        facts = self._judged.facts
        once = [snapshot.status for snapshot in read_once(facts)]
        wall = facts.wall or time.time()
        return dumps(
            {
                **beginning(self._live.host, wall, self._step if self.last else None),
                "findings": self.wrong.as_json(),
                "blind": blind_json(blind(facts), once, passive_only(facts)),
                "watched": round(time.monotonic() - self._begin, 3),
                "usual_known_in": self._usual_known_in(),
            }
        )

    def as_text(self, *, every: bool) -> str:
        said = [self.wrong.as_text(time.time(), every=every)]
        if not any(finding.wrong for finding in self.wrong.findings):
            said.append(self._calm())
        if not every:
            said.append(words.hidden(self.wrong.ordinary))
        return "\n".join(filter(None, said))

    def _calm(self) -> str:
        if self.blindness():
            return "nothing was found, but not everything was seen"
        counters = since_boot.said(self._judged.facts)
        return words.calm_after(time.monotonic() - self._begin, self._usual_known_in(), counters)

    def blindness(self) -> str:
        """Return why it could not be told whether something is wrong; "" if it could."""
        facts = self._judged.facts
        said = [words.unread(status) for status in blind(facts)]
        said += [words.passive(status) for status in passive_only(facts)]
        if not said and any(read_once(facts)):
            said = ["everything was read only once: watch for longer (--for 3)"]
        more = [f"{len(said) - _NAMED} more"] if len(said) > _NAMED else []
        why = "; ".join(said[:_NAMED] + more)
        return f"cannot tell whether anything is wrong: {why}" if why else ""
