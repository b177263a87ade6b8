"""Plays stories and watches the screen: the part of `bench.incidents` in namespaces of its own."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from itertools import cycle
from pathlib import Path

from bench.overview_reading import Case, Others, Reading, reading
from bench.terminal import EBPFTOP, Terminal
from tests.support.incidents import noise
from tests.support.incidents.stage import CannotBePlayed, Stage
from tests.support.incidents.story import Story, stories

LARGE, SMALL = (40, 120), (24, 80)
"""Rows and columns."""
_PAINTED = 200
"""Cells of a screen that is there."""
_KEYS, _FIRST_LOOK = (b"\x1b[H", *[b"\x1b[B"] * 8), 6.0
"""Home and down, and seconds before the first of them: nothing else is read before."""
_PATIENCE = 30.0
"""Seconds for which a small screen is read at most; nothing is watched after it was read."""
COLD, WARM, CALM = "cold", "warm", "calm"
ON_BEFORE = 2.5
"""Seconds that an incident is on before a cold monitor is started."""
WATCHED = {COLD: 16.0, WARM: 14.0, CALM: 40.0}
AFTER = 6.0
"""Seconds that are watched for false alarms when the cause has been named."""
LEARNING, REST = 25.0, 13.0
"""Seconds of a warm monitor before the first story and between two: an episode's quiet end."""
HELD = 0.8
"""Share of the time that a cause is to keep its place."""
_STILL = 0.12
"""Seconds without output: the screen is painted."""


@dataclass(slots=True)
class Outcome:
    """What was seen; seconds until something was named, None: never.

    held: the share of the time since `first` in which it stayed there. read: until one row said
    what, who, where, which share and since when. wrong: false alarms, with the second each was
    first seen. others: rows of other users. trace: what was in first place, and since when.
    """

    story: str
    mode: str
    named: float | None = None
    first: float | None = None
    held: float = 0.0
    lacks: list[str] = field(default_factory=list)
    first_row: str = ""
    verdict: str = ""
    read: float | None = None
    wrong: dict[str, float] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    trace: list[tuple[float, str]] = field(default_factory=list)
    seconds: float = 0.0
    happened: float = 0.0

    @property
    def right(self) -> bool:
        if self.mode == CALM:
            return not self.wrong
        return self.first is not None and self.held >= HELD

    @property
    def false_per_minute(self) -> float:
        return 60 * len(self.wrong) / self.seconds if self.seconds else 0.0


class Watch:
    """Looks at one story on a screen."""

    def __init__(self, story: Story, outcome: Outcome, terminal: Terminal) -> None:
        self._story, self._terminal, self.outcome = story, terminal, outcome
        self._others = Others()
        self._begun = time.monotonic()
        self._known: set[str] = set()
        self._looks = [0, 0]

    def known(self) -> None:
        """What is marked now was so before: it is no false alarm of this story."""
        self._known = {c.name for c in reading(self._terminal.screen.text()).marked()}

    def until_read(self) -> None:
        """Read a small screen; after a while with the arrow keys: other rows may be above it."""
        end, keys = self._begun + _PATIENCE, cycle(_KEYS)
        while self.outcome.read is None and time.monotonic() < end:
            still(self._terminal)
            self._judge(reading(self._terminal.screen.text()))
            if self.outcome.named is None and time.monotonic() > self._begun + _FIRST_LOOK:
                self._terminal.type(next(keys))
        self.outcome.seconds = time.monotonic() - self._begun

    def run(self, seconds: float) -> None:
        """To the end, which comes earlier if the cause is named in first place."""
        one, end = self.outcome, self._begun + seconds
        while (now := time.monotonic()) < end:
            still(self._terminal)
            self._others.look()
            self._judge(reading(self._terminal.screen.text()))
            if one.first is not None and now > self._begun + one.first + AFTER:
                break
        one.seconds = time.monotonic() - self._begun

    def _judge(self, seen: Reading) -> None:
        passed = round(time.monotonic() - self._begun, 1)
        one, expected = self.outcome, self._story.expected
        marked = [c for c in seen.marked() if not self._others.made(c)]
        strange = {c.name for c in seen.marked()} - {c.name for c in marked}
        one.others = sorted(strange.union(one.others))
        self._trace(marked, passed)
        if expected is None:
            self._false(marked, passed)
            return
        places = [i for i, case in enumerate(marked) if expected.names(case.text)]
        spoken = expected.names(seen.verdict)
        if one.named is None and (places or spoken):
            one.named = passed
        first = places[:1] == [0] or spoken
        if one.first is None and first:
            one.first = passed
        if one.read is None and any(expected.is_told(case.text) for case in marked):
            one.read = passed
        if one.first is not None:
            self._looks = [self._looks[0] + first, self._looks[1] + 1]
            one.held = round(self._looks[0] / self._looks[1], 2)
        self._false([c for c in marked if not expected.is_of(c.text)], passed)
        self._remember(seen, marked)

    def _remember(self, seen: Reading, marked: Sequence[Case]) -> None:
        one, expected = self.outcome, self._story.expected
        assert expected is not None
        one.verdict = seen.verdict
        if marked:
            best = min(marked, key=lambda c: len(expected.lacks(c.text)))
            one.lacks = expected.lacks(best.text)
            one.first_row = marked[0].text
        elif not one.first_row:
            one.lacks = ["all"]

    def _trace(self, marked: Sequence[Case], passed: float) -> None:
        now = marked[0].name if marked else ""
        if not self.outcome.trace or self.outcome.trace[-1][1] != now:
            self.outcome.trace.append((passed, now))

    def _false(self, cases: Sequence[Case], passed: float) -> None:
        for case in cases:
            if case.name not in self._known:
                self.outcome.wrong.setdefault(case.text, passed)
                self._known.add(case.name)


def still(terminal: Terminal) -> None:
    """Read until nothing more is painted for a moment, or a second has passed."""
    end = time.monotonic() + 1
    while time.monotonic() < end:
        before = terminal.bytes
        if not terminal.read(_STILL, draw=True):
            raise SystemExit("ebpftop has ended:\n" + terminal.screen.text())
        if terminal.bytes == before:
            return


def until_painted(terminal: Terminal) -> None:
    """Read until the first screen is there, for half a minute at most."""
    end = time.monotonic() + _PATIENCE
    while terminal.screen.painted() < _PAINTED and time.monotonic() < end:
        terminal.read(_STILL, draw=True)


@contextmanager
def monitor(
    cache: Path, arguments: Sequence[str] = (), size: tuple[int, int] = LARGE
) -> Iterator[Terminal]:
    """ebpftop. cache: its own, which no other run of ebpftop at this machine prunes."""
    colours = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    environment = {**os.environ, **colours, "XDG_CACHE_HOME": str(cache)}
    command = [EBPFTOP, *arguments]
    terminal = Terminal(command, environment, *size)
    try:
        yield terminal
    finally:
        terminal.close()


def rest(terminal: Terminal, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        still(terminal)


class Player:
    """Plays one story after the other, each as its mode says."""

    def __init__(
        self,
        mode: str,
        *,
        noisy: bool,
        folder: Path,
        arguments: Sequence[str] = (),
        small: bool = False,
    ) -> None:
        self._small = small
        self._mode, self._noisy, self._folder = mode, noisy, folder
        self._cache, self._arguments = folder.parent / "cache", tuple(arguments)

    def play(self, names: Sequence[str]) -> None:
        with ExitStack() as stack:
            if self._noisy and self._mode != CALM:
                noise.all_of_it(stack.enter_context(Stage("10.78")))
            play: Callable[[str], Outcome] = self._cold
            if self._mode == WARM:
                terminal = stack.enter_context(monitor(self._cache, self._arguments))
                rest(terminal, LEARNING)
                play = lambda name: self._warm(terminal, name)  # noqa: E731
            for name in names:
                try:
                    self._write(play(name))
                except (AssertionError, CannotBePlayed, OSError) as lack:
                    print(f"incidents: {name}: {lack}", file=sys.stderr)

    def _cold(self, name: str) -> Outcome:
        story, outcome = stories()[name], Outcome(name, self._mode)
        with Stage() as stage:
            story.play(stage)
            time.sleep(ON_BEFORE)
            size = SMALL if self._small else LARGE
            with monitor(self._cache, self._arguments + story.arguments, size) as terminal:
                if self._small:
                    until_painted(terminal)
                    Watch(story, outcome, terminal).until_read()
                else:
                    Watch(story, outcome, terminal).run(WATCHED[self._mode])
                self._photograph(terminal, name)
                outcome.happened = story.happened(stage)
        return outcome

    def _warm(self, terminal: Terminal, name: str) -> Outcome:
        story, outcome = stories()[name], Outcome(name, self._mode)
        with Stage() as stage:
            story.play(stage)
            watch = Watch(story, outcome, terminal)
            watch.known()
            watch.run(WATCHED[WARM])
            self._photograph(terminal, name)
            outcome.happened = story.happened(stage)
        rest(terminal, REST)
        return outcome

    def _photograph(self, terminal: Terminal, name: str) -> None:
        (self._folder / f"{name}-{self._mode}.txt").write_text(terminal.screen.text() + "\n")

    def _write(self, outcome: Outcome) -> None:
        with (self._folder / "outcomes.jsonl").open("a") as file:
            file.write(json.dumps(asdict(outcome)) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("mode", choices=(COLD, WARM, CALM))
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--bare", action="store_true")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--memory")
    asked = parser.parse_args()
    limit = ("--memory", asked.memory) if asked.memory else ()
    player = Player(
        asked.mode, noisy=not asked.bare, folder=asked.folder, arguments=limit, small=asked.small
    )
    player.play(asked.names)


if __name__ == "__main__":
    main()
