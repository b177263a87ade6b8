"""Recordings that somebody made to do harm: bytes at random in frames that are otherwise whole,
texts that no terminal should get, files that are large when they are opened.

    python -m tests.support.hostile FIRST LAST        seeds
    python -m tests.support.hostile open FILE         seconds and MB that opening it takes

Run as a process of its own, in little memory: whatever goes wrong there is an exit status.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from bench.busy_host import Host as BusyHost
from probes.analysis.history import History
from probes.drop_rule import parse
from probes.hooks import catalogue
from probes.model import Enforced, HookId, Refusal, Row, Sample, Status
from probes.recording.bookmarks import Bookmarker, Moment, marks
from probes.recording.codec import Malformed, Writer
from probes.recording.encoder import Encoder, Tick
from probes.recording.reader import Recording
from probes.recording.tape import Frame, Timeline
from probes.recording.writer import (
    END,
    HEAD,
    INDEXED,
    MAGIC,
    MARK,
    VERSION,
    RecordingError,
    RecordingFile,
    _host,
    _write_moment,
)
from probes.sources.replay import Replay
from tests.support.recordings import HOST, demo_ticks, record
from tui.output.document import document, report
from tui.panes import inner_panes, panes
from tui.session.past_view import past_view
from tui.session.view import View

MEMORY = 1 << 30
FRAMES = 6
HARM = "\x1b]52;c;SU5K\x07\x1b[2J\x9b2J\u202e\u200b\ud800[/x]"
"""A clipboard, a cleared screen, letters turned round, letters nobody sees, and half of one."""


def spoiled(tick: Tick) -> Tick:
    """The moment with harm in every text that it has."""
    samples = {hook: tuple(map(_spoiled_sample, all)) for hook, all in tick.samples.items()}
    parse_rule = parse("udp dport 53")
    refused = (Refusal(*[f"{name}{HARM}" for name in ("rung", "error", "why", "remedy", "log")]),)
    rules = (
        Enforced(f"eth1{HARM}", parse_rule, f"xdp{HARM}", 100.0, 5, 500, refused, f"note{HARM}"),
        Enforced(f"eth2{HARM}", parse_rule, None, 100.0, 5, 500, refused, f"note{HARM}"),
    )
    return replace(
        tick, samples=samples, statuses=tuple(map(_spoiled_status, tick.statuses)), rules=rules
    )


def _spoiled_status(status: Status) -> Status:
    target = status.id.target
    refused = Refusal(*[f"{name}{HARM}" for name in ("rung", "error", "why", "remedy", "log")])
    return replace(
        status,
        id=HookId(status.id.hook, None if target is None else f"{target}{HARM}"),
        rung=f"{status.rung}{HARM}",
        refused=(refused,),
        note=f"{status.note}{HARM}",
    )


def _spoiled_sample(sample: Sample) -> Sample:
    def row(values: Row) -> Row:
        return tuple([f"{v}{HARM}" if isinstance(v, str) else v for v in values])

    keys = catalogue()[sample.status.id.hook].places.keys
    rows = {tuple([r[i] for i in keys]): r for r in map(row, sample.rows.values())}
    return replace(
        sample, status=_spoiled_status(sample.status), rows=rows, log=tuple(map(row, sample.log))
    )


# -- files that are large when they are opened -----------------------------------------------


_MOMENT = Moment(1.7e9)


def _record(kind: bytes, payload: bytes) -> bytes:
    return HEAD.pack(kind, len(payload), zlib.crc32(kind + payload)) + payload


def _frame(
    raw: bytes, moment: Moment = _MOMENT, *, key: bool = True, size: int | None = None
) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    out = Writer()
    _write_moment(out, Frame(moment, key, len(raw) if size is None else size, b""))
    return _record(b"F", bytes(out.data) + deflate.compress(raw) + deflate.flush(zlib.Z_SYNC_FLUSH))


def _empty(wall: float = 1.7e9, interval: float = 1.0, *, key: bool = True) -> Writer:
    """A moment in which nothing was read."""
    out = Writer()
    out.real(wall)
    out.real(interval)
    out.size(1 if key else 0)
    out.size(0)
    out.size(0)
    return out


def _begun(hooks: Iterable[str] = ("syscalls", "drops")) -> bytes:
    return MAGIC + b"%d\n" % VERSION + _record(b"H", _host(HOST, hooks))


def _indexed(body: bytes, index: bytes) -> bytes:
    return body + _record(b"I", zlib.compress(index, 9)) + END.pack(len(body), MARK)


def _many(number: int, drops: int = 0, *, key: bool = True) -> bytes:
    """A file with an index of so many moments; key: each stands for itself."""
    first = bytes(_empty().data)
    later = first if key else bytes(_empty(key=False).data)
    frames = _frame(first), _frame(later, key=key)
    body = _begun() + frames[0] + frames[1] * (number - 1)
    out = Writer()
    out.size(number)
    rows = [(len(f), 1.7e9, drops, 0, int(k), len(raw))
            for f, raw, k in ((frames[0], first, True), (frames[1], later, key))]  # fmt: skip
    out.rows([rows[0], *[rows[1]] * (number - 1)], None)
    out.size(0)
    return _indexed(body, bytes(out.data))


def _status(out: Writer, hook: str, refusals: int) -> None:
    out.text(hook)
    out.optional(None)
    out.text("attached")
    out.optional(None)
    out.size(refusals)
    out.data += bytes(5) * refusals
    out.text("")
    out.size(0)


def _statuses() -> bytes:
    out = Writer()
    out.real(1.7e9)
    out.real(1.0)
    out.size(1 << 14)
    for _ in range((1 << 14) - 1):
        _status(out, "drops", 16)
    out.size(0)
    out.size(0)
    return bytes(out.data)


def _rules() -> bytes:
    out = Writer()
    out.real(1.7e9)
    out.real(1.0)
    out.size(1)
    out.size(1 << 13)
    for _ in range(1 << 13):
        out.text("e")
        out.optional(None)
        out.count(17)
        out.count(None)
        out.real(100.0)
        out.optional(None)
        out.real(1.0)
        out.data += bytes(2)
        out.size(16)
        out.data += bytes(5 * 16)
        out.text("")
    out.size(0)
    return bytes(out.data)


def _rows(width: int, rows: int, columns: bytes) -> bytes:
    """A hook with so many rows; columns: all of them as they are written."""
    out = _empty()
    out.data.pop()
    out.size(1)
    out.text("syscalls")
    out.size(1)
    out.size(width)
    for n in range(width):
        out.text(f"c{n}")
    out.size(0)
    out.size(1)
    out.size(0)
    out.size(1)
    out.rows([(0, 4, 4745000000000000000, 0, 0, 0, 0, 0, rows, 0)], None)
    _status(out, "syscalls", 0)
    out.size(0)
    out.data += columns
    return bytes(out.data)


def _text_columns(width: int, rows: int) -> bytes:
    out = Writer()
    for _ in range(width):
        out.data.append(1)
        out.text("\0" * (rows - 1))
    return bytes(out.data)


def bad_files() -> Mapping[str, Callable[[], bytes]]:
    """What each kind of file has in it."""
    big = b"i" + b"\xff" * 18 + b"\x01"
    rows = 1 << 16
    return {
        "a million moments without an index": lambda: (
            _begun() + _frame(bytes(_empty().data)) * (1 << 20)
        ),
        "as many as an index may have": lambda: _many(INDEXED),
        "numbers that are slow to read": lambda: _many(INDEXED, 1 << 79),
        "one key frame for all": lambda: _many(INDEXED, key=False),
        "an index that is a bomb": lambda: _indexed(
            _begun() + _frame(bytes(_empty().data)), bytes(1 << 28)
        ),
        "frames that are bombs": lambda: _begun() + _frame(bytes(1 << 25)) * 300,
        "statuses": lambda: _begun() + _frame(_statuses()) * 300,
        "rules": lambda: _begun() + _frame(_rules()) * 300,
        "integers of 18 bytes": lambda: (
            _begun() + _frame(_rows(30, rows, (b"\4" + big * rows) * 30))
        ),
        "empty tuples": lambda: (
            _begun() + _frame(_rows(30, rows, (b"\4" + b"t\0" * rows) * 30)) * 50
        ),
        "empty texts": lambda: (
            _begun() + _frame(_rows(200, 1 << 13, _text_columns(200, 1 << 13))) * 50
        ),
        "events": lambda: (
            _begun() + _frame(bytes(_empty().data), Moment(1.7e9, events=(HARM * 30,) * 16)) * 3000
        ),
        "all damaged": lambda: _begun() + _frame(b"\xff" * 40) * 100_000,
    }


def opening(path: Path) -> None:
    """Prints the seconds of CPU and the MB that opening it takes, and what is said of it."""
    begin, before = time.process_time(), peak()
    try:
        said = f"{Replay(Recording(path, catalogue())).number}"
    except RecordingError as refused:
        said = str(refused)
    print(f"{time.process_time() - begin:.3f} {peak() - before} {said}", flush=True)


def peak() -> int:
    """MB. (ru_maxrss is that of whoever started this, where that had more.)"""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) >> 10


def frames(ticks: list[Tick]) -> list[tuple[Frame, bytes]]:
    """Frames with what is in them before it is compressed; the third begins anew."""
    encoder, bookmarker, found = Encoder(catalogue()), Bookmarker(catalogue()), []
    for n, tick in enumerate(ticks):
        key = n % 3 == 0
        raw = encoder.encode(tick, key=key)
        found.append((Frame(bookmarker.moment(tick), key, len(raw), b""), raw))
    return found


def mutated(raw: bytes, dice: random.Random) -> bytes:
    """One to four changes anywhere."""
    data = bytearray(raw)
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        at = dice.randrange(len(data) + 1)
        kind = dice.randrange(6)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << dice.randrange(8)
        elif kind == 1 and at < len(data):
            data[at] = dice.choice((0, 1, 2, 3, 4, 10, 11, 12, 13, 0x7F, 0x80, 0xFF))
        elif kind == 2:
            data[at:at] = b"\xff" * dice.randrange(1, 12) + b"\x01"
        elif kind == 3:
            del data[at : at + dice.randrange(1, 30)]
        elif kind == 4:
            source = dice.randrange(len(data) + 1)
            data[at:at] = data[source : source + dice.randrange(1, 300)]
        else:
            data[at:at] = dice.randbytes(dice.randrange(1, 20))
    return bytes(data)


def written(path: Path, made: list[tuple[Frame, bytes]]) -> Path:
    """A recording that is whole outside, whatever is in its frames."""
    path.unlink(missing_ok=True)
    file = RecordingFile(path, HOST, catalogue())
    for frame, raw in made:
        if frame.key:
            deflate = zlib.compressobj(1, zlib.DEFLATED, -15)
        data = deflate.compress(raw) + deflate.flush(zlib.Z_SYNC_FLUSH)
        file.write(frame._replace(size=len(raw), data=data))
    file.close()
    return path


def use(path: Path) -> int:
    """Everything that is done with a recording; how many moments could be had."""
    try:
        played = Recording(path, catalogue())
    except RecordingError:
        return 0
    good = 0
    list(marks(played.moments()))
    for n in (*range(played.end), 0, played.end // 2):
        try:
            snapshots = list(played.snapshots(n).values())
            tick, since = played.at(n), played.since(n)
        except Malformed:
            continue
        look(played, n)
        said = document(played.host, tick.wall, tick.interval, snapshots, tick.rules, since)
        json.loads(said, parse_constant=_no_number)
        said += report(played.host, snapshots, tick.rules, since)
        assert said.replace("\n", "").isprintable(), "something that no terminal should get"
        good += 1
    if good:  # else Replay refuses it
        asyncio.run(_play(Replay(played, pace=_at_once)))
    return good


def _no_number(text: str) -> None:
    raise AssertionError(f"{text} is in the JSON")


def look(played: Timeline, number: int) -> None:
    """What every pane makes of a moment: rows, their details, what is wrong, what is below."""
    figures = [f for p in panes(played.hooks) for f in (*p.figures, *p.kept)]
    view = past_view(View(played.hooks, History(figures)), played, number)
    for hook in played.hooks:
        view.history.add(hook, view.of(hook))
    for pane in (*panes(played.hooks), *inner_panes(played.hooks).values()):
        pane.trouble(view)
        fields = pane.fields(played.hooks)
        records = list(pane.records(view))
        for field in fields:
            records.sort(key=field.order)
            for one in records[:5]:
                field.cell(one, 8, False)
        for one in records[:3]:
            pane.detail(view, one, 80)
        if pane.below is not None:
            pane.below(view, 80, 10)


async def _at_once(_: float) -> None:
    await asyncio.sleep(0)


async def _play(source: Replay) -> None:
    await source.start()
    while not source.ended:
        await asyncio.sleep(0)
    await source.close()


def samples() -> Iterator[list[tuple[Frame, bytes]]]:
    yield frames(list(map(spoiled, asyncio.run(demo_ticks(FRAMES, 39)))))
    yield frames(list(BusyHost(12, 2).ticks(FRAMES)))


def seeds(first: int, last: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a"
        sound = list(samples())
        whole = record(Path(folder) / "whole", asyncio.run(demo_ticks(FRAMES, 39))).read_bytes()
        good = 0
        for seed in range(first, last):
            dice = random.Random(seed)
            if seed % 4 == 0:  # the file itself, without its checksums being mended
                path.write_bytes(mutated(whole, dice))
            else:
                made = list(sound[seed % 2])
                n = dice.randrange(len(made))
                made[n] = made[n][0], mutated(made[n][1], dice)
                written(path, made)
            good += use(path)
    print(good, "moments of", FRAMES * (last - first), flush=True)  # what follows flushes nothing


def main(arguments: list[str]) -> None:
    if arguments[0] == "open":
        opening(Path(arguments[1]))
    else:
        seeds(int(arguments[0]), int(arguments[1]))
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
