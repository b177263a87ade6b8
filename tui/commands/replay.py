"""`ebpftop replay`: a recording on the screen, or printed as text."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path

from probes.analysis.cases.judgement import Judgement
from probes.analysis.funnel import remember
from probes.analysis.hit_rates import Hits
from probes.analysis.snapshot import Snapshot, Trail, WindowRoom
from probes.custom import builder
from probes.custom.catalogue import Catalogue
from probes.model import HookId, Sample
from probes.recording.codec import Malformed, cells_for
from probes.recording.encoder import Tick
from probes.recording.reader import MOST_MOMENTS, Recording
from probes.recording.writer import RecordingError, name_of
from probes.sources.memory_keeper import MemoryKeeper
from probes.sources.replay import Replay
from probes.sources.row_room import RowRoom
from tui.commands import _options
from tui.commands._help import PRINTED
from tui.commands._judging import found, judging
from tui.commands._run import DONE, UsageError, say
from tui.commands._screen import need_terminal, show
from tui.config import in_force
from tui.output import colour
from tui.output.findings import FoundWrong, unknown
from tui.output.formats import PrintedMoment, printer
from tui.session import own_usage
from tui.time_expr import TimeError, parse_time

HELP = "show or print a recording"
ORDER = 60
EXAMPLES = {
    "ebpftop replay incident.rec": "the screen; Space pauses, [ and ] step",
    "ebpftop replay incident.rec --at 12:03:10 --speed 10": "from there, ten times as fast",
    "ebpftop replay incident.rec --json | jq .findings": "what was wrong, moment by moment",
}
STATUSES = {
    **PRINTED,
    2: "wrong usage, or a file that is not a recording",
    "128+n": "ended by signal n (130: ^C)",
}
JUDGED_BEFORE = 300.0
"""Seconds before the first moment that is printed by which it is judged, too."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", type=Path, help="a recording that `record` wrote")
    parser.add_argument("--at", metavar="TIME", help="begin at 12:03, 12:03:10, or +SECONDS")
    parser.add_argument(
        "--speed",
        type=_options.speed,
        metavar="N",
        help="speed of playback on the screen (default 1)",
    )
    parser.add_argument(
        "-n",
        "--count",
        type=_options.positive,
        metavar="N",
        help="print at most N ticks; with --format",
    )
    _options.format_options(parser, None)
    _options.scope_options(parser)
    _options.screen_options(parser)
    _options.memory_option(parser)


def run(arguments: argparse.Namespace) -> int:
    _check(arguments)
    try:
        if arguments.format is not None:
            keeper = MemoryKeeper(arguments.memory, own_usage.memory)
            with closing(_opened(arguments, keeper)) as played:
                _print_moments(played, arguments, keeper)
            return DONE
        need_terminal("use `ebpftop replay FILE --format table` to print instead")
        player = _player(arguments)
        return show(player, arguments, in_force.load())
    except TimeError as wrong:
        raise UsageError(str(wrong)) from None


def _check(arguments: argparse.Namespace) -> None:
    """Refuse options that mean nothing on the screen, or to what is printed. Raises UsageError."""
    if arguments.format is None:
        if arguments.count is not None:
            raise UsageError("--count limits what is printed: use it with --format or --json")
        return
    for option in ("speed", "theme", "ascii", "slow_link", "mouse"):
        if getattr(arguments, option) is not None:
            flag = option.replace("_", "-")
            raise UsageError(f"--{flag} is for the screen, not for --format {arguments.format}")


def _opened(arguments: argparse.Namespace, keeper: MemoryKeeper) -> Recording:
    """Open the recording. Raises RecordingError."""
    cells = cells_for(arguments.memory)
    return Recording(arguments.file, Catalogue(), builder.recalled, cells, RowRoom(keeper.share()))


def _player(arguments: argparse.Namespace) -> Replay:
    """Return a source that plays the recording. Raises RecordingError, TimeError."""
    keeper = MemoryKeeper(arguments.memory, own_usage.memory)
    played, at = _opened(arguments, keeper), arguments.at
    try:
        begin = 0 if at is None else moment_at(played, at)
        return Replay(played, begin=begin, speed=arguments.speed or 1.0, keeper=keeper)
    except BaseException:
        played.close()
        raise


def moment_at(played: Recording, text: str) -> int:
    """Return the moment's number; print a note if the time is ambiguous. Raises TimeError."""
    played.look_on(MOST_MOMENTS)
    number, note = parse_time(text, played, now=0)
    say([note] if note else [])
    return number


class _Unread:
    """Parts that could not be read: the first few are reported, ahead of the next output.

    first: why the first could not be read; "": all could.
    """

    SAID, GIVEN_UP = 5, 200
    """The most parts that are reported; the unreadable parts in a row after which to give up."""

    def __init__(self, note: str) -> None:
        self.first = ""
        self._parts, self._in_a_row = 0, 0
        self._waiting = [note] if note else []

    def add(self, wall: float, damaged: Malformed) -> None:
        self.first = self.first or str(damaged)
        self._parts += 1
        self._in_a_row += 1
        if self._parts <= self.SAID:
            clock = datetime.fromtimestamp(wall).strftime("%H:%M:%S")
            self._waiting.append(f"{clock} cannot be read: {damaged}")

    def read(self) -> None:
        """Take note that a moment was read."""
        self._in_a_row = 0
        self.say()

    def say(self) -> None:
        say(self._waiting)
        self._waiting.clear()

    @property
    def enough(self) -> bool:
        return self._in_a_row >= self.GIVEN_UP

    def end(self) -> None:
        self.say()
        if self._parts > self.SAID:
            say([f"{self._parts - self.SAID} more parts cannot be read"])


class _There:
    """The snapshots of a moment, of hooks that were read in it or before."""

    def __init__(self, played: Recording) -> None:
        self._played, self._room = played, WindowRoom()
        self._trails: dict[str, Trail] = {}
        self._snapshots: dict[HookId, Snapshot] = {}
        self.before: Tick | None = None

    def begin(self, trails: Mapping[str, Trail]) -> None:
        """Start over, with what was read before."""
        self._trails, self._snapshots, self.before = dict(trails), {}, None

    def take(self, tick: Tick) -> Sequence[Snapshot]:
        """Take the next moment; return what is there in it."""
        there = self._snapshots
        for hook, samples in tick.fresh(self.before).items():
            trail = self._trails.setdefault(hook, Trail(self._played.hooks[hook], room=self._room))
            for id in [i for i in there if i.hook == hook]:
                del there[id]
            there |= {s.id: s for s in trail.snapshots(samples)}
        for id in [i for i in there if i.hook not in tick.samples]:
            del there[id]
        self.before = tick
        return list(there.values())


def _judge(judgement: Judgement, there: Sequence[Snapshot], tick: Tick) -> FoundWrong:
    return found(judgement, there, tick.rules, unknown)


def _judge_before(judgement: Judgement, played: Recording, number: int) -> None:
    """Judge by what was read before a moment, as if it had been printed. Raises Malformed."""
    there = _There(played)
    for n, tick in played.window(number, JUDGED_BEFORE):
        if n < number:
            _judge(judgement, there.take(tick), tick)


def _shown(
    played: Recording, first: int, last: int, hits: Hits, unread: _Unread, judgement: Judgement
) -> Iterator[PrintedMoment]:
    """Yield each moment; give `hits` what drop rules had dropped before the first."""
    since: dict[HookId, Sample] = {}
    there = _There(played)
    number = first
    while number < last and not (unread.enough or played.hopeless):
        try:
            if there.before is None:  # the first, or after what could not be read
                there.begin({hook: trail for hook, (trail, _) in played.trails(number).items()})
                since = dict(played.since(number))
                for _, earlier in played.window(number, Hits.BACK):
                    hits.take(earlier.rules)
            tick = played.at(number)
        except Malformed as damaged:
            unread.add(played.wall(number), damaged)
            number = played.key_after(number) or last
            there.before = None
            continue
        for samples in tick.fresh(there.before).values():
            remember(since, samples)
        snapshots = there.take(tick)
        wrong = _judge(judgement, snapshots, tick)
        unread.read()
        yield PrintedMoment(
            played.host, tick.wall, tick.interval, snapshots, tick.rules, since, wrong
        )
        number += 1


def _print_moments(played: Recording, arguments: argparse.Namespace, keeper: MemoryKeeper) -> None:
    """Print each moment, or `count` moments from `at` on (as for `time_expr.parse_time`).

    What cannot be read is left out and reported. Raises RecordingError (if nothing can be read),
    TimeError, BrokenPipeError.
    """
    at, count = arguments.at, arguments.count
    played.look_on(MOST_MOMENTS if count is None else count)
    first = 0 if at is None else moment_at(played, at)
    last = played.end if count is None else min(first + count, played.end)
    hits, unread, printed = Hits(), _Unread(played.note), False
    scope = _options.scope_of(arguments)
    hooks = [hook for hook in played.hooks.values() if scope.tells(hook)]
    several = last - first != 1
    show = printer(arguments.format, hooks, several=several, hits=hits)
    judgement = judging(played.hooks)
    if arguments.format != "csv":  # which has no findings
        with suppress(Malformed):
            _judge_before(judgement, played, first)
    for shown in _shown(played, first, last, hits, unread, judgement):
        within = shown.found.within(scope)
        text = show(shown._replace(scope=scope, found=within))
        print(colour.painted(text, arguments.color), flush=True)
        printed = True
        keeper.hold_now_and_then()
    if not printed:
        raise RecordingError(
            f"{name_of(played.path)}: nothing from that time can be read: {unread.first}"
        )
    unread.end()
