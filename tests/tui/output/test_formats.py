"""CSV: one header, a line for each row, whatever hooks there are and whoever named things."""

from __future__ import annotations

import csv
import io
import json

from probes.analysis.snapshot import Snapshot, Trail
from probes.hooks import catalogue
from probes.source import Host
from tests.support.recordings import HOST, demo_ticks
from tui.output.document import document
from tui.output.formats import FORMATS, PrintedMoment, printer


async def _shown(seconds: int = 4) -> list[PrintedMoment]:
    trails = {name: Trail(hook) for name, hook in catalogue().items()}
    shown = []
    for tick in await demo_ticks(seconds, 30):
        snapshots = [s for h, v in tick.samples.items() for s in trails[h].snapshots(v)]
        shown.append(PrintedMoment(HOST, tick.wall, 1.0, snapshots, tick.rules, {}))
    return shown


def _lines(shown: list[PrintedMoment]) -> list[dict[str, str]]:
    show = printer("csv", catalogue().values(), several=True)
    return list(csv.DictReader(io.StringIO("\n".join(show(s) for s in shown)), strict=True))


async def test_csv_has_the_numbers_of_the_json() -> None:
    shown = await _shown()
    lines = _lines(shown)
    assert len(lines) == sum(len(s.rows) for one in shown for s in one.snapshots)
    last = json.loads(document(*shown[-1][:4], (), {}))
    rows = {(h["hook"], h["target"]): h["rows"] for h in last["hooks"]}
    seen = 0
    for line in lines:
        if float(line["time"]) != last["time"]:
            continue
        hook = line["hook"], line["target"] or None
        row = rows[hook].pop(0)
        for name, value in row.items():
            assert line[name] == ("" if value is None else str(value)), (hook, name)
        others = {n for n, v in line.items() if v} - row.keys()
        assert others <= {"time", "host", "hook", "target"}
        seen += 1
    assert seen
    assert not any(rows.values())


async def test_csv_of_one_hook_has_its_columns_only() -> None:
    one = (await _shown(1))[0]
    drops = [s for s in one.snapshots if s.id.hook == "drops"]
    show = printer("csv", [catalogue()["drops"]], several=False)
    header, *_ = show(one._replace(snapshots=drops)).splitlines()
    assert header == (
        "time,host,hook,target,interface,reason,location,packets,packets_per_s,protocol,dport,"
        "class,comm,pid,counts,netns,way,waiting,room,meaning,container,unit,netns_name"
    )


async def test_what_others_named_stays_in_its_cell_and_moves_no_cursor() -> None:
    one = (await _shown())[-1]
    snapshot = next(s for s in one.snapshots if s.id.hook == "tcp-connect")
    evil = 'a,"b"\n\x1b[2J'
    rows = tuple(type(r)(r.key, {**r.values, "comm": evil}, r.rates) for r in snapshot.rows[:1])
    made = Snapshot(snapshot.hook, snapshot.sample, None, rows)
    (line,) = _lines([one._replace(host=Host("h\x1b", ""), snapshots=[made])])
    assert line["comm"] == 'a,"b"??[2J'
    assert line["host"] == "h?"


async def test_a_table_of_several_moments_says_when_each_was() -> None:
    shown = (await _shown(2))[:2]
    once = printer("table", (), several=False)(shown[0])
    stream = printer("table", (), several=True)
    assert stream(shown[0]) == f"--- 2026-01-02 00:00:30 web1\n{once}\n"
    assert stream(shown[1]).startswith("--- 2026-01-02 00:00:31 web1\n")
    assert FORMATS == ("table", "json", "csv")
