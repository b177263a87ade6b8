"""What a reader or a climb raises: one sentence in the status, tried again, and never further."""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from probes.compile.compiler import Compiler
from probes.errors import Gone, LoadFailed, Unsupported
from probes.ladder import retry
from probes.ladder.attachment import MOST_FAILURES, Attachment
from probes.ladder.modules import Modules
from probes.ladder.retry import LONGEST_PAUSE
from probes.model import Column, Hook, Kind, Opening, Reach, Reading, Row, Rung, State
from probes.units import Unit

GOOD: list[Row] = [("a", 1)]


class Reader:
    """Gives rows until `raises` is set."""

    def __init__(self) -> None:
        self.raises: BaseException | None = None
        self.rows: Any = GOOD
        self.opened = 0

    def open(self, _: Opening) -> Callable[[], Reading]:
        self.opened += 1
        return self.read

    def read(self) -> Reading:
        if self.raises is not None:
            raise self.raises
        return Reading(self.rows)


class Untold(Exception):
    """Whose text cannot be had."""

    def __str__(self) -> str:
        raise ValueError


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def modules() -> Iterator[Modules]:
    compiler = Compiler()
    yield Modules(compiler)
    compiler.close()


def _hook(*rungs: Rung, reach: Reach = Reach.OBSERVES) -> Hook:
    columns = (
        Column("what", "What", kind=Kind.KEY),
        Column("n", "N", Unit.COUNT, Kind.COUNTER),
    )
    return Hook("made-up", "Made up", "Nothing.", columns, rungs, reach=reach)


def _rung(reader: Reader, name: str = "own", **more: Any) -> Rung:
    return Rung(name, "nothing", reader.open, **more)


@pytest.fixture
def attachment(reader: Reader, modules: Modules) -> Attachment:
    made = Attachment(_hook(_rung(reader)), modules)
    made.climb()
    return made


RAISED = [
    KeyError("x"),
    struct.error("'i' format requires -2147483648 <= number <= 2147483647"),
    ZeroDivisionError("division by zero"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    RecursionError("maximum recursion depth exceeded"),
    RuntimeError("two\nlines\x1b[2J" + "x" * 10_000),
    Untold(),
]


@pytest.mark.parametrize("raised", RAISED, ids=lambda e: type(e).__name__)
def test_what_nobody_foresaw_is_failed_with_one_sentence(
    attachment: Attachment, reader: Reader, raised: Exception
) -> None:
    """The hook, the error and the module; of a bounded length, and fit for any terminal."""
    attachment.read()
    reader.raises = raised
    sample = attachment.read()
    (refusal,) = sample.status.refused
    assert (sample.status.state, sample.rows, refusal.error) == (State.FAILED, {}, "Unexpected")
    assert refusal.why.startswith("reading made-up failed: ")
    assert type(raised).__name__ in refusal.why
    assert "probes.ladder.standing, line" in refusal.why
    assert refusal.why.isprintable()
    assert len(refusal.why) < 400
    assert attachment.read().status == sample.status, "said once"


@pytest.mark.parametrize("rows", [[("a",)], [(["a"], 1)], [7], None, [()]])
def test_rows_that_are_none_are_failed_too(
    attachment: Attachment, reader: Reader, rows: object
) -> None:
    good = attachment.read()
    reader.rows = rows
    sample = attachment.read()
    if sample.status.state is State.FAILED:
        assert sample.status.refused[-1].error == "Unexpected"
    else:
        assert good.status == sample.status


@pytest.mark.parametrize(
    "raised",
    [
        MemoryError(),
        RuntimeError("can't start new thread"),
        *(OSError(code, "") for code in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)),
        OSError(errno.EINTR, ""),
        Unsupported("no memory for the map", errno=errno.ENOMEM),
    ],
    ids=repr,
)
def test_what_passes_is_tried_again_for_as_long_as_it_takes(
    attachment: Attachment, reader: Reader, raised: Exception
) -> None:
    good = attachment.read()
    reader.raises = raised
    samples = [attachment.read() for _ in range(10 * MOST_FAILURES)]
    assert {s.status.state for s in samples} == {State.PASSIVE}
    assert {s.time for s in samples} == {good.time}, "the sample before stands"
    assert all(s.rows == good.rows for s in samples)
    assert samples[-1].status.note.startswith("not read since ")
    reader.raises = None
    after = attachment.read()
    assert (after.status, after.epoch) == (good.status, good.epoch)
    assert after.time > good.time


def test_other_refusals_are_borne_a_while_and_then_end_it(
    attachment: Attachment, reader: Reader
) -> None:
    attachment.read()
    reader.raises = OSError(errno.EIO, "")
    states = [attachment.read().status.state for _ in range(MOST_FAILURES)]
    assert states == [State.PASSIVE] * (MOST_FAILURES - 1) + [State.FAILED]
    assert attachment.status.refused[-1].error == "EIO"


# -- again -----------------------------------------------------------------------------------


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_PAUSE", 0.0)


@pytest.mark.usefixtures("at_once")
def test_what_failed_is_attached_again_and_says_so(reader: Reader, modules: Modules) -> None:
    attachment = Attachment(_hook(_rung(reader)), modules)
    attachment.climb()
    before = attachment.read()
    assert not attachment.due
    reader.raises = KeyError("x")
    attachment.read()
    assert attachment.due
    reader.raises = None
    status = attachment.climb_again()
    assert (status.state, status.refused) == (State.PASSIVE, ())
    assert "attached again after this: reading made-up failed: KeyError" in status.note
    after = attachment.read()
    assert (after.rows, reader.opened) == (before.rows, 2)
    assert after.epoch != before.epoch, "no rate is made across it"
    assert not attachment.due


def test_pauses_grow_to_a_longest(attachment: Attachment, reader: Reader) -> None:
    pauses = []
    reader.raises = KeyError("x")
    for _ in range(12):
        attachment.read()
        assert not attachment.due
        pauses.append(attachment.retry.pause)
        attachment.retry.at = 0.0
        attachment.climb_again()
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE


@pytest.mark.usefixtures("at_once")
def test_nothing_is_attached_again_that_a_person_detached_or_that_has_gone(
    reader: Reader, modules: Modules
) -> None:
    attachment = Attachment(_hook(_rung(reader)), modules)
    attachment.climb()
    reader.raises = KeyError("x")
    attachment.read()
    attachment.detach()
    assert not attachment.due
    assert attachment.climb_again().state is State.DETACHED
    reader.raises = None
    attachment.climb()
    reader.raises = Gone("the interface has gone")
    assert attachment.read().status.state is State.FAILED
    assert not attachment.due


@pytest.mark.usefixtures("at_once")
def test_what_sits_in_a_data_path_waits_for_a_person(reader: Reader, modules: Modules) -> None:
    attachment = Attachment(_hook(_rung(reader), reach=Reach.DATA_PATH), modules)
    attachment.climb(asked=True)
    reader.raises = KeyError("x")
    assert attachment.read().status.state is State.FAILED
    assert not attachment.due


# -- climbing --------------------------------------------------------------------------------


def _raising(error: Exception) -> Callable[..., Any]:
    def raises(*_: object) -> Any:
        raise error

    return raises


@pytest.mark.parametrize(
    "broken",
    [
        {"precheck": _raising(KeyError("asked"))},
        {"source": _raising(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"))},
        {"open": _raising(AssertionError())},
        {"open": _raising(OSError(errno.EIO, ""))},
        {"open": _raising(LoadFailed("it does not compile"))},
    ],
)
def test_whatever_a_climb_raises_refuses_its_rung_and_the_ladder_goes_on(
    reader: Reader, modules: Modules, broken: dict[str, Any]
) -> None:
    better = Rung(**{"name": "better", "requires": "", "open": reader.open, **broken})
    attachment = Attachment(_hook(better, _rung(reader)), modules)
    attachment.stand_passive()
    status = attachment.climb()
    assert (status.state, status.rung) == (State.PASSIVE, "own")
    assert [r.rung for r in status.refused] == ["better"]
    assert attachment.read().rows


@pytest.mark.usefixtures("at_once")
def test_a_rung_that_only_wanted_memory_is_tried_again(reader: Reader, modules: Modules) -> None:
    """What stands meanwhile goes on counting where it is no better the second time."""
    short: list[Exception] = [MemoryError(), MemoryError()]

    def open(opening: Opening) -> Callable[[], Reading]:
        if short:
            raise short.pop()
        return reader.open(opening)

    attachment = Attachment(_hook(Rung("better", "", open), _rung(reader)), modules)
    status = attachment.climb()
    assert (status.rung, [r.error for r in status.refused]) == ("own", ["ENOMEM"])
    epoch = attachment.read().epoch
    assert attachment.due
    assert attachment.climb_again().rung == "own"
    assert attachment.read().epoch == epoch
    assert attachment.climb_again().rung == "better"
    assert attachment.status.refused == ()
    assert not attachment.due
