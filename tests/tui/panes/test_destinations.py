"""Connects by destination: one row for each, and one for ports that a command tries in vain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from probes.analysis import snapshot
from probes.analysis.cases.attempts import Attempts
from probes.analysis.destinations import PORTS, Destination, destinations
from probes.analysis.history import History
from probes.analysis.snapshot import Snapshot
from probes.hooks import catalogue
from probes.model import HookId, Key, Row, Sample, State, Status
from tests.support.calls_made import calls_of
from tests.support.many_views import TwoViews, all_panes
from tests.support.stage import playing, settle, text
from tui.session.view import View
from tui.table.fields import TableRow
from tui.table.many_records import ManyRecords, with_key
from tui.table.order import in_order, index_of

HOOK = catalogue()["tcp-connect"]
Made = tuple[int, str, str, int, dict[str, int]]


def _sample(rows: Sequence[Made], time: float) -> Sample:
    found: dict[Key, Row] = {}
    for pid, comm, raddr, rport, numbers in rows:
        values = {"pid": pid, "comm": comm, "raddr": raddr, "rport": rport, **numbers}
        found[pid, comm, raddr, rport] = tuple(
            values.get(name, (0,) * 8 if name == "latency" else 0) for name in HOOK.places.names
        )
    status = Status(HookId("tcp-connect"), State.ATTACHED)
    return Sample(status, time, time, 1, found, from_zero=True)


def _told(*rows: Made) -> list[Destination]:
    """What is told of rows that have counted all of it within a second."""
    before, now = _sample((), 1.0), _sample(rows, 2.0)
    shot = Snapshot.between(HOOK, before, now)
    return destinations(Attempts(View(catalogue(), History(())), shot))


def _fails(pid: int, port: int, comm: str = "scan", address: str = "127.0.0.1") -> Made:
    return pid, comm, address, port, {"connects": 1, "failed": 1, "refused": 1}


def test_processes_of_one_destination_are_one_row() -> None:
    (one,) = _told(
        (1, "billing", "10.0.0.5", 5432, {"connects": 3, "failed": 1, "timed_out": 1}),
        (2, "checkout", "10.0.0.5", 5432,
         {"connects": 9, "established": 2, "failed": 5, "timed_out": 5}),
    )  # fmt: skip
    assert (one.address, one.port, one.processes) == ("10.0.0.5", 5432, 2)
    assert (one.comm, one.pid, one.commands) == ("checkout", 2, "billing, checkout")
    assert (one.connects, one.failed, one.how) == (12, 6, "timed out")
    assert one.share == pytest.approx(6 / 8)


def test_ports_at_which_a_command_always_fails_are_one_row() -> None:
    """And what it reaches at that address stays by itself."""
    found = _told(
        *[_fails(7, port) for port in range(300)],
        (7, "scan", "127.0.0.1", 22, {"connects": 1, "established": 1}),
    )
    ports, reached = found if found[0].port is None else reversed(found)
    assert (ports.ports, ports.failed, ports.how) == (299, 299, "refused")
    assert ports.key == ("ports", "scan", "127.0.0.1")
    assert (reached.port, reached.share) == (22, 0)


def test_a_few_ports_are_not_told_as_one() -> None:
    assert len(_told(*[_fails(7, port) for port in range(PORTS - 1)])) == PORTS - 1
    others = [_fails(n, 80 + n, f"comm{n}") for n in range(10)]
    assert len(_told(*others)) == 10


def test_who_waits_without_a_failure_gets_no_answer() -> None:
    (one,) = _told((1, "curl", "10.0.0.9", 443, {"connects": 1, "pending": 1, "late": 1}))
    assert (one.how, one.waiting, one.share) == ("no answer", 1, None)


def test_a_long_address_is_cut_in_its_middle() -> None:
    """Not its port."""
    field = next(f for f in all_panes()["connects"].fields(catalogue()) if f.name == "to")
    address = "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff"
    row = TableRow(1, "", {"to": f"[{address}]:8443", "raddr": address, "rport": 8443})
    assert field.cell(row, 21, False) == "[2001:db8:aaaa~]:8443"
    assert field.cell(row, 50, False).startswith(f"[{address}]:8443 ")
    many = TableRow(1, "", {"to": f"{address}, 311 ports", "raddr": address, "rport": None})
    assert field.cell(many, 21, False).endswith("~, ports")


# -- many -------------------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "FEW", 64)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("unfolded", [False, True])
def test_many_rows_have_the_destinations_of_few(unfolded: bool) -> None:
    """With the same values, in the same order, whether each row is by itself or not."""
    pane, views = all_panes()["connects"], TwoViews(HOOK, 400, 3)
    views.columns.unfolded = views.rows.unfolded = unfolded
    for _ in range(4):
        views.tick(0.7)
    many, few = (pane.records(view) for view in (views.columns, views.rows))
    assert isinstance(many, ManyRecords)
    assert not isinstance(few, ManyRecords)
    told, plain = ([(r.key, r.name, dict(r.values), r.mark) for r in some] for some in (many, few))
    assert told == plain
    for field in pane.fields(catalogue()):
        ordered = [[r.key for r in in_order(some, field, reverse=True)] for some in (many, few)]
        assert ordered[0] == ordered[1], field.name


@pytest.mark.usefixtures("small")
def test_a_row_leads_to_its_destination() -> None:
    """As cases do, which know rows alone."""
    for seed in range(5):
        _leads(TwoViews(HOOK, 300, seed))


def _leads(views: TwoViews) -> None:
    pane = all_panes()["connects"]
    views.tick(1.0)
    for view in (views.columns, views.rows):
        records = pane.records(view)
        for row in view.rows("tcp-connect")[:40]:
            record = with_key(records, pane.shows(view, row.key))
            assert record is not None
            assert record.values["raddr"] == row["raddr"]
            assert record.values["rport"] in (row["rport"], None)
            assert index_of(records, record.key) is not None
        view.unfolded = True
        assert pane.shows(view, row.key) == row.key


def test_each_row_by_itself_takes_as_many_calls_for_more_rows() -> None:
    def paint(views: TwoViews) -> None:
        pane, view = all_panes()["connects"], views.columns
        view.unfolded = True
        fields = pane.fields(catalogue())
        by = next(field for field in fields if field.name == pane.sort)
        for row in in_order(pane.records(view), by, reverse=True)[:40]:
            for field in fields:
                field.cell(row, field.width, False)

    def calls(rows: int) -> Counter[str]:
        views = TwoViews(HOOK, rows, 1, alone=True, wrong=30)
        found = Counter[str]()
        for _ in range(4):
            views.tick()
            found = calls_of(lambda: paint(views))
        return found

    few, many = calls(1000), calls(4000)
    assert not {name: n for name, n in many.items() if n - few[name] > 200}


@pytest.mark.usefixtures("small")
def test_the_detail_of_many_ports_lists_a_few_and_counts_the_others() -> None:
    pane, views = all_panes()["connects"], TwoViews(HOOK, 300, 7, alone=True)
    views.tick(1.0)
    view = views.columns
    records = pane.records(view)
    most = max(records, key=lambda record: record.number("processes"))
    for record in (records[0], most):
        lines = pane.detail(view, record, 100)
        texts = ["".join(text for text, _ in one.spans) for one in lines]
        assert any("By process" in text or "By port" in text for text in texts)
        assert sum(" > " in text for text in texts) < 60


# -- on the screen ----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (120, 40), (200, 60)])
async def test_a_destination_that_fails_is_read_off_its_row(size: tuple[int, int]) -> None:
    """Where, who, which share of it, and how; how often, from 80 columns on."""
    async with playing(size=size, pane="connects", ticks=49) as (app, _):
        row = next(r for r in text(app).splitlines() if r[1:].startswith("!10.0.0.5:5432"))
        for words in (
            "checkout",
            "+1",
            "80.5%",
            "timed out",
            *(("18", "51") if size[0] >= 80 else ()),
        ):
            assert words in row, words
        if size[1] >= 24:
            assert "▲00:00:27" in text(app)
            assert "▒ failed" in text(app)


async def test_x_shows_every_process_by_itself_and_enter_its_detail() -> None:
    async with playing(size=(120, 60), pane="connects", ticks=49) as (app, pilot):
        await pilot.press("enter")
        await settle(pilot)
        shown = text(app)
        for words in ("Where it may be lost", "this host drops no packet of tcp:5432", "By process",
                      "billing[2390]", "ss -tnpo state syn-sent", "Latest"):  # fmt: skip
            assert words in shown, words
        await pilot.press("escape", "X")
        await settle(pilot)
        assert [r.name for r in app.table.rows][:2] == [
            "checkout > 10.0.0.5:5432", "billing > 10.0.0.5:5432",
        ]  # fmt: skip
        await pilot.press("X")
        await settle(pilot)
        assert app.table.rows[0].name == "10.0.0.5:5432"
