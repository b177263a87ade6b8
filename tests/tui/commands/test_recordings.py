"""The commands `record` and `replay` without a screen: what is printed, refused and said."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from pathlib import Path

import pytest

from probes.analysis.cases.judgement import Judgement
from probes.analysis.funnel import remember
from probes.analysis.hit_rates import Hits
from probes.analysis.snapshot import Trail
from probes.hooks import catalogue
from probes.model import HookId, Sample
from probes.recording.tape import Tape
from probes.sources.replay import Replay
from tests.support.commands import COMMAND, ROOT, in_terminal
from tests.support.recordings import HOST, demo_recording, demo_ticks, record
from tests.support.warm import ebpftop
from tui.output.document import document
from tui.output.findings import FoundWrong
from tui.output.formats import PrintedMoment, printer


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Seventy seconds of the demo."""
    path = tmp_path / "demo.rec"
    path.write_bytes(demo_recording(70))
    return path


async def test_what_is_printed_is_what_was_seen_then(tmp_path: Path) -> None:
    """One format, one calculation: live (the demo), from the tape, replayed, and printed."""
    ticks = await demo_ticks(26, 30)
    recorded = record(tmp_path / "demo.rec", ticks)
    trails = {name: Trail(hook) for name, hook in catalogue().items()}
    since: dict[HookId, Sample] = {}
    tape, live, hits = Tape(catalogue()), [], Hits()
    judgement, wrong = Judgement(catalogue()), []
    for tick in ticks:
        tape.add(tick)
        snapshots = []
        for hook, samples in tick.samples.items():
            remember(since, samples)
            snapshots += trails[hook].snapshots(samples)
        wrong.append(FoundWrong(judgement.take(snapshots, (), tick.rules)))
        live.append(document(HOST, tick.wall, 1.0, snapshots, tick.rules, since, hits, wrong[-1]))
    for n in (25, 0, 13, 9, 10, 20, 22):
        past, hits = list(tape.snapshots(n).values()), Hits()
        for _, tick in tape.window(n, Hits.BACK):
            hits.take(tick.rules)
        then = ticks[n].rules, tape.since(n), hits, wrong[n]
        assert document(HOST, ticks[n].wall, 1.0, past, *then) == live[n]
    assert ebpftop("replay", str(recorded), "--json").stdout.splitlines() == live
    some = ebpftop("replay", str(recorded), "--json", "--at", "+20", "--count", "3")
    assert some.stdout.splitlines() == live[20:23]


async def test_played_samples_are_those_that_were_recorded(recorded: Path) -> None:
    async def at_once(_: float) -> None: ...

    from probes.recording.reader import Recording

    ticks = await demo_ticks(70)
    source = Replay(Recording(recorded, catalogue()), begin=5, pace=at_once)
    await source.start()
    followed = source.samples("tcp-rtt")
    for tick in ticks[5:]:
        assert await anext(followed) == tick.samples["tcp-rtt"]
    assert source.ended
    await source.close()


def test_it_is_printed_as_csv_and_as_tables(recorded: Path) -> None:
    done = ebpftop("replay", str(recorded), "--format", "csv", "--at", "00:01:05")
    lines = list(csv.DictReader(io.StringIO(done.stdout)))
    assert {line["time"] for line in lines} == {f"{1767312000 + n}.000" for n in range(65, 70)}
    table = ebpftop("replay", str(recorded), "--format", "table", "--at", "+40", "--count", "1")
    assert table.stdout.startswith("what is wrong:\n! ")
    assert "\nDROPPING eth1: src 203.0.113.66 on tcx" in f"\n{table.stdout}"
    assert "packets lost:" in table.stdout


def test_a_reader_that_has_seen_enough_ends_it_in_peace(recorded: Path) -> None:
    command = [*COMMAND, "replay", str(recorded), "--json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        assert json.loads(run.stdout.readline())["host"] == "web1"
        run.stdout.close()
        assert run.stderr.read() == b""
    assert run.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["replay", "{}", "--json", "--at", "12:00"], "there is nothing at 12:00: the range is"),
        (["replay", "{}", "--json", "--at", "noon"], "'noon' is not a time: write 12:03,"),
        (["replay", "{}", "--json", "--at", "+900"], "there is nothing at +900"),
        (["replay", "{}"], "needs a terminal; use `ebpftop replay FILE --format table` to print"),
        (["replay", "{}x", "--json"], "cannot be read: No such file or directory"),
        (["replay", ".", "--json"], ". is a directory, and not a recording"),
        (["replay", "README.md", "--json"], "README.md is not a recording of ebpftop"),
        (["record", "{}"], "is there already; --force overwrites it"),
        (["record", "."], ". is a directory"),
        (
            ["record", "README.md", "--force"],
            "README.md is not a recording, and is not overwritten",
        ),
        (["record", "{}x/y"], "cannot be written: No such file or directory"),
        (["replay", "{}", "--speed", "100"], "the speed must be from 0.1 to 60"),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(
    recorded: Path, arguments: list[str], said: str
) -> None:
    done = ebpftop(*(a.replace("{}", str(recorded)) for a in arguments))
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not done.stdout


def test_on_a_terminal_a_damaged_file_is_a_sentence_too(tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(b"ebpftop-recording/9\nwhatever")
    status, said = in_terminal("replay", str(tmp_path / "new"))
    assert status == 2
    assert "was written by a newer ebpftop (format 9, this one reads 2)" in said


def test_a_damaged_moment_is_left_out_and_said(recorded: Path) -> None:
    with recorded.open("r+b") as file:
        file.seek(recorded.stat().st_size // 4)
        file.write(b"\xff" * 8)
    done = ebpftop("replay", str(recorded), "--json")
    assert done.returncode == 0
    times = [json.loads(line)["time"] - 1767312000 for line in done.stdout.splitlines()]
    assert 0 < len(times) < 70
    assert times == sorted(times)
    assert 69 in times, "the next whole moment is found"
    assert "cannot be read: it is damaged" in done.stderr


def test_no_format_is_forgotten_by_the_printer() -> None:
    shown = PrintedMoment(HOST, 0.0, 1.0, (), (), {})
    assert printer("json", (), several=True)(shown).startswith('{"format": "ebpftop/1"')
