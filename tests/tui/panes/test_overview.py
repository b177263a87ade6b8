"""The overview: what is wrong now, by whom, since when; and what cannot be seen."""

from __future__ import annotations

import re
from typing import Any

import pytest

from probes.hooks import catalogue
from probes.model import Refusal, State, Status
from probes.sources.demo.source import Demo
from tests.support.stage import playing, settle, step, text
from tui.panes import panes
from tui.screen.leases import Leases

SINCE_CALM: dict[str, Any] = {"pane": "overview", "ticks": 49}
SIZES = ((80, 24), (120, 40), (200, 60))


def _row(app: Any, where: str) -> Any:
    return next(r for r in app.table.rows if r.values["where"] == where)


async def test_it_is_the_first_pane() -> None:
    """What opens is what tells most."""
    assert panes(catalogue())[0].name == "overview"


CASES = (
    ("!", "XDP xdp_filter#412 drops at eth1", "32% 6.6k/s 0 00:00:24", "6.6k/s of 20.8k/s"),
    ("!", "receive buffer of udp:514 is full", "5.7% 1.2k/s - 00:00:24", "rsyslogd[811]"),
    ("!", "203.0.113.77:873 slow round trip", "36x 698ms 19.6ms 00:00:29", "rsync[30400]"),
    (
        "!",
        "10.0.0.5:5432: no answer",
        "80% 23/s 0 00:00:27",
        "checkout[2311] 9/s, billing[2390]",
    ),
    ("!", "fsync is slow", "52x 1.1s 20.3ms 00:00:31", "mean 109ms"),
    ("~", "openat fails with ENOENT", "57% 220/s 23/s 00:00:27", ""),
    ("~", "connect fails with ECONNREFUSED", "66% 41/s 0 00:00:27", "listens on that port"),
)
"""What is wrong at that moment: mark, what and where, share, now, usual, since; who or why."""


@pytest.mark.parametrize("size", SIZES, ids=lambda s: f"{s[0]}x{s[1]}")
async def test_it_says_at_a_glance_what_is_wrong(size: tuple[int, int]) -> None:
    """How bad, what and where, how much of all, since when; why or by whom, beside it or below."""
    async with playing(size=size, **SINCE_CALM) as (app, _):
        shown = text(app)
        for words in (
            "wrong, 2 unusual",
            "web1",
            "hooks 20",
            "since 00:00:02",
            "00:00:50",
        ):
            assert words in shown, words
        lines = shown.splitlines()
        head = next(n for n, line in enumerate(lines) if line.startswith("  What is wrong"))
        marked = [n for n, line in enumerate(lines) if n > head and re.match(r"[ ▸][!~]", line)]
        fit = len(CASES) if size[1] > 24 else 4
        assert len(marked) == fit
        for n, (mark, what, numbers, why) in zip(marked, CASES, strict=False):
            at = lines[n].find(what)
            assert lines[n][1:at] == mark, what
            assert " ".join(lines[n][at + len(what) :].split()).startswith(numbers), what
            assert why in lines[n] + lines[n + 1], what
        assert [(r.mark == "bad", r.mark == "warn") for r in app.table.rows[: len(CASES)]] == [
            (mark == "!", mark == "~") for mark, *_ in CASES
        ]


async def test_before_the_incident_nothing_is_marked() -> None:
    """What is usual is no news."""
    async with playing(until=20, ticks=19, pane="overview") as (app, _):
        assert "ok: nothing is unusual" in text(app)
        assert not [r for r in app.table.rows if r.mark]


async def test_nothing_is_said_before_it_is_known() -> None:
    """Not that no call fails before one was counted, nor that all is usual after a second."""
    async with playing(until=20, ticks=0, pane="overview") as (app, pilot):
        where = ("Interfaces", "Syscalls", "Connects")
        assert all("waiting for the first numbers" in _row(app, w).text("why") for w in where)
        assert "waiting for the first numbers" in text(app)
        await step(pilot)
        assert "waiting for" in _row(app, "Syscalls").text("why"), "one reading makes no rate"
        await step(pilot)
        assert "waiting for" not in text(app)
        assert "nothing is failing outright; usual values are known in 13 s" in text(app)


async def test_opened_in_the_middle_of_an_incident_it_does_not_take_that_for_usual() -> None:
    """Nothing is known of before: that is what it says, and it goes on saying it."""
    async with playing(until=40, ticks=2, pane="overview") as (app, pilot):
        for where in ("Interfaces", "Connects"):
            assert _row(app, where).text("since_text") == "before 00:00:39"
        await step(pilot, 20)
        assert _row(app, "Interfaces").text("since_text") == "before 00:00:39"
        assert _row(app, "Interfaces").mark == "bad"


async def test_find_the_failing_destination_and_read_why() -> None:
    """The story: three keys, and each of them undone by Esc."""
    async with playing(size=(80, 40), **SINCE_CALM) as (app, pilot):
        assert "10.0.0.5:5432" in text(app)
        app.table.select([r.values["where"] for r in app.table.rows].index("Connects"))
        await pilot.press("enter")
        await settle(pilot)
        assert app.place.pane.name == "connects"
        assert app.table.record.name == "10.0.0.5:5432"
        await pilot.press("enter")
        await settle(pilot)
        shown = text(app)
        assert "Connects: 10.0.0.5:5432" in shown
        assert "checkout[2311]" in shown
        await pilot.press("end")
        await settle(pilot)
        assert "timed out" in text(app)
        await pilot.press("escape", "escape")
        await settle(pilot)
        assert app.place.pane.name == "overview"
        assert "10.0.0.5:5432" in app.table.record.text("what")


async def test_enter_goes_to_the_row_that_was_shown_whatever_filter_is_there() -> None:
    """A filter that would hide it is cleared."""
    async with playing(size=(120, 40), **SINCE_CALM) as (app, pilot):
        await pilot.press("5", "slash", *"nothing", "enter", "1", "end")
        names = [r.values["where"] for r in app.table.rows]
        app.table.select(names.index("RTT"))
        await pilot.press("enter")
        await settle(pilot)
        assert app.place.pane.name == "rtt"
        assert app.table.record.name == "rsync > 203.0.113.77:873"


async def test_calm_rows_keep_their_place() -> None:
    """Numbers move, lines do not."""
    async with playing(until=16, ticks=15, pane="overview") as (app, pilot):
        for _ in range(3):
            await step(pilot, 2)
            calm = [r.values["where"] for r in app.table.rows if not r.text("since_text")]
            assert calm == ["Interfaces", "Syscalls", "Connects", "RTT", "Hooks"]


async def test_what_cannot_be_seen_is_said_with_the_reason() -> None:
    """No privilege: the hooks that failed, named where their numbers would be."""

    class Refused(Demo):
        async def start(self) -> None:
            await super().start()
            why = Refusal("kprobe", "EPERM", "needs CAP_BPF", "run as root")
            for id in self._statuses:
                if id.hook != "interfaces":
                    self._statuses[id] = Status(id, State.FAILED, None, (why,))

    async with playing(size=(120, 40), source=Refused, **SINCE_CALM) as (app, _):
        shown = text(app)
        for hook in ("drops", "syscalls", "tcp-connect", "tcp-rtt"):
            assert f"{hook} failed: needs CAP_BPF" in shown, hook
        assert not [r for r in app.table.rows if r.mark == "bad"]
        assert "failed" in _row(app, "Hooks").text("what")


async def test_a_passive_rung_is_named_with_what_the_better_ones_answered() -> None:
    """There are numbers, but not all."""

    class Passive(Demo):
        async def start(self) -> None:
            await super().start()
            for id in self._statuses:
                if id.hook == "syscalls":
                    why = Refusal("tracefs", "EPERM", "needs CAP_PERFMON", "")
                    self._statuses[id] = Status(id, State.PASSIVE, "proc", (why,))

    async with playing(size=(120, 40), source=Passive, **SINCE_CALM) as (app, _):
        said = [r.text("why") for r in app.table.rows if r.values["where"] == "Syscalls"]
        assert "syscalls only by proc (needs CAP_PERFMON)" in said[-1]


async def test_whose_calls_fail_is_looked_at_while_they_do() -> None:
    """The hook by process is attached for the worst call, and goes with the pane."""
    async with playing(size=(120, 40), **SINCE_CALM) as (app, pilot):
        Leases.tend(app.leases)
        await settle(pilot)
        await step(pilot, 3)
        assert any(str(s.id) == "syscall-processes@fsync" for s in app.session.source.statuses())
        await pilot.press("2")
        await settle(pilot)
        assert not any(s.id.hook == "syscall-processes" for s in app.session.source.statuses())


async def test_what_is_wanted_again_while_it_is_detached_comes_back() -> None:
    """Its last numbers are still there then: they are no reason to leave it detached for good."""
    async with playing(size=(120, 40), **SINCE_CALM) as (app, pilot):
        Leases.tend(app.leases)
        await settle(pilot)
        await step(pilot, 3)
        app.leases.give_back("pane")
        Leases.tend(app.leases)
        await settle(pilot)
        await step(pilot, 2)
        Leases.tend(app.leases)
        await settle(pilot)
        assert any(str(s.id) == "syscall-processes@fsync" for s in app.session.source.statuses())


async def test_a_frozen_overview_attaches_nothing() -> None:
    """Looking at the past changes nothing in the present."""
    async with playing(size=(120, 40), **SINCE_CALM) as (app, pilot):
        await pilot.press("space")
        Leases.tend(app.leases)
        await settle(pilot)
        assert not any(s.id.hook == "syscall-processes" for s in app.session.source.statuses())


async def test_rows_of_panes_say_what_is_unusual_in_words() -> None:
    """Not by colour alone: a sign, and a column with since when where there is space."""
    async with playing(size=(260, 50), ticks=49) as (app, pilot):
        for key, words, marks in (
            ("2", "was 0 until 00:00:24", ["!eth1"]),
            ("3", "usual since 00:00:", ["~openat", "~connect", "!fsync"]),
            ("4", "was 0 until 00:00:27", ["!10.0.0.5:5432"]),
            ("5", "36x usual since 00:00:29", ["!203.0.113.77"]),
        ):
            await pilot.press(key)
            await settle(pilot)
            rows = [r for r in text(app).splitlines() if words in r]
            assert [r[1:].split()[0] for r in rows] == marks


@pytest.mark.parametrize(
    ("key", "row", "words"),
    [
        ("2", "!eth1", "was 0 "),
        ("3", "~connect", "16x usual "),
        ("4", "!10.0.0.5:5432", "checkout +1 "),
        ("5", "!203.0.113.77", "36x usual "),
    ],
)
async def test_words_that_do_not_fit_are_short_ones_not_cut_ones(
    key: str, row: str, words: str
) -> None:
    """12x usual, not "12x usual sinc~", on the smallest common screen; the detail has the rest."""
    async with playing(size=(80, 24), ticks=49) as (app, pilot):
        await pilot.press(key)
        if key == "3":
            await pilot.press("slash", *"connect", "enter")
        await settle(pilot)
        (found,) = (line for line in text(app).splitlines() if line[1:].startswith(row + " "))
        assert words in found + " "
        await pilot.press("enter")
        await settle(pilot)
        lines = app.place.pane.detail(app.session.view, app.record, 80)
        detail = "\n".join("".join(part for part, _ in line.spans) for line in lines)
        assert re.search(r"([Uu]nusual:? .* |▲)00:00:2\d", detail)


async def test_a_reading_is_seen_also_while_what_was_before_is_not_known_yet() -> None:
    """After a recording was gone back in, graphs end where it went to until they are read anew."""
    async with playing(until=20, ticks=5, pane="overview") as (app, pilot):
        app.session.live.ticks = dict(app.session.live.history.ticks)
        before = app.session.live.of("tcp-rtt")
        await step(pilot)
        (shown,) = app.session.live.of("tcp-rtt")
        assert shown is app.session.live.snapshots[shown.id]
        assert shown is not before[0]


async def test_it_is_ok_only_once_what_is_usual_is_known() -> None:
    """Before the demo's incident: first what is wrong by itself is looked for, then all."""
    async with playing(size=(100, 30), ticks=3, until=4, pane="rtt") as (app, pilot):
        assert "nothing is failing outright; usual values are known in 12 s" in text(app)
        await step(pilot, 12)
        assert "ok: nothing is unusual here" in text(app)
