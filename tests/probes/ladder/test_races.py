"""What happens while an attachment is at work: the latest wish counts, and nothing stays behind.

Rungs that wait at a gate force the order in which threads come.
"""

from __future__ import annotations

import errno
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import FrameType

import pytest

from probes.compile.compiler import Compiler
from probes.errors import Gone, ProbeError, Unsupported
from probes.ladder import retry
from probes.ladder.attachment import MOST_FAILURES, Attachment
from probes.ladder.modules import Modules
from probes.ladder.row_limit import MIN_ROWS, RowLimit
from probes.ladder.standing import Standing
from probes.model import Column, Hook, HookId, Kind, Opening, Reading, Rung, State, Status
from probes.units import Unit

SECONDS = 10.0


class Gate:
    """A place where a thread waits until it is let through; open unless it was closed."""

    def __init__(self) -> None:
        self._open, self.reached = threading.Event(), threading.Event()
        self._open.set()

    def close(self) -> None:
        self._open.clear()
        self.reached.clear()

    def open(self) -> None:
        self._open.set()

    def await_somebody(self) -> None:
        assert self.reached.wait(SECONDS), "nobody came"

    def __call__(self) -> None:
        self.reached.set()
        assert self._open.wait(SECONDS), "nobody opened"


class Made:
    """A rung that counts how often it stands. Gates: as it is opened, read and released."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.opening, self.reading, self.releasing = Gate(), Gate(), Gate()
        self.opened = self.standing = 0
        self.raises: Exception | None = None
        self.refuses: Exception | None = None

    def open(self, opening: Opening) -> Callable[[], Reading]:
        self.opening()
        if self.refuses is not None:
            raise self.refuses
        self.opened += 1
        self.standing += 1
        opening.stack.callback(self._released)
        return self._read

    def _read(self) -> Reading:
        self.reading()
        if self.raises is not None:
            raise self.raises
        return Reading([("a", 1)])

    def _released(self) -> None:
        self.standing -= 1
        self.releasing()

    def rung(self, *, passive: bool = False, samples: bool = False) -> Rung:
        precheck = None if passive else lambda: None
        return Rung(self.name, "nothing", self.open, precheck=precheck, samples=samples)


COLUMNS = (Column("a", "A", kind=Kind.KEY), Column("n", "N", Unit.COUNT, Kind.COUNTER))


@pytest.fixture
def best() -> Made:
    return Made("best")


@pytest.fixture
def passive() -> Made:
    return Made("passive")


@pytest.fixture
def attachment(best: Made, passive: Made) -> Attachment:
    hook = Hook("made-up", "", "", COLUMNS, (best.rung(samples=True), passive.rung(passive=True)))
    return Attachment(hook, Modules(Compiler()))


@pytest.fixture
def alone(best: Made) -> Attachment:
    """Without a rung to fall back to."""
    return Attachment(Hook("made-up", "", "", COLUMNS, (best.rung(),)), Modules(Compiler()))


Begin = Callable[[Callable[[], object]], Future[object]]


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Runs something in a thread of its own."""
    with ThreadPoolExecutor(8) as pool:
        yield pool.submit


def _counts(status: Status, *stands: Made) -> None:
    assert all(made.standing == 1 for made in stands), [made.standing for made in stands]
    assert status.rung == (stands[0].name if stands else None)


# -- the latest wish -------------------------------------------------------------------------


def test_a_detachment_during_a_climb_detaches(
    attachment: Attachment, best: Made, passive: Made, begin: Begin
) -> None:
    attachment.stand_passive()
    best.opening.close()
    climb = begin(attachment.climb)
    best.opening.await_somebody()
    detach = begin(attachment.detach)
    best.opening.open()
    climb.result(SECONDS)
    assert detach.result(SECONDS) == attachment.status
    assert attachment.status.state is State.DETACHED
    assert (best.standing, passive.standing) == (0, 0)


def test_a_climb_that_waits_is_not_begun_after_a_detachment(
    attachment: Attachment, best: Made
) -> None:
    """As at the start, where many wait for a thread and the user detaches one of them."""
    attachment.stand_passive()
    request = attachment.request()
    attachment.detach()
    assert attachment.climb(request=request).state is State.DETACHED
    assert best.opened == 0
    attachment.compile_ahead(request=request)
    assert attachment.climb().state is State.ATTACHED


def test_a_detachment_that_waits_is_not_begun_after_a_climb(
    attachment: Attachment, best: Made
) -> None:
    """Whichever of the threads comes first."""
    attachment.climb()
    detach, climb = attachment.request(), attachment.request()
    status = attachment.climb(request=climb)
    assert attachment.detach(request=detach) == status
    _counts(attachment.status, best)


def test_of_requests_in_several_threads_one_is_the_latest(attachment: Attachment) -> None:
    """Each thread rests at each line, so that the others come in between."""

    def rest(frame: FrameType, event: str, _: object) -> object:
        if frame.f_code is not Attachment.request.__code__:
            return None
        if event == "line":
            time.sleep(0.001)
        return rest

    before = threading.gettrace()
    threading.settrace(rest)  # type: ignore[arg-type]
    try:
        with ThreadPoolExecutor(4) as pool:
            numbers = list(pool.map(lambda _: attachment.request(), range(40)))
    finally:
        threading.settrace(before)  # type: ignore[arg-type]
    assert sorted(numbers) == list(range(1, 41))
    assert [n for n in numbers if attachment.is_latest(n)] == [40]


def test_passive_numbers_do_not_replace_what_is_being_attached(
    attachment: Attachment, best: Made, passive: Made, begin: Begin
) -> None:
    best.opening.close()
    climb = begin(attachment.climb)
    best.opening.await_somebody()
    attachment.stand_passive()
    best.opening.open()
    climb.result(SECONDS)
    _counts(attachment.status, best)
    assert (attachment.status.state, passive.standing) == (State.ATTACHED, 0)


def test_a_thread_that_could_not_be_had_undoes_nothing_that_another_attaches(
    attachment: Attachment, best: Made, passive: Made, begin: Begin
) -> None:
    attachment.stand_passive()
    best.opening.close()
    climb = begin(attachment.climb)
    best.opening.await_somebody()
    attachment.fail(RuntimeError("can't start new thread"))
    best.opening.open()
    climb.result(SECONDS)
    _counts(attachment.status, best)
    assert passive.standing == 0
    assert not attachment.retry.at


# -- a reading that ends it ------------------------------------------------------------------


@pytest.fixture
def ending(
    alone: Attachment, best: Made, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> Future[object]:
    """A reading that has failed, and is releasing the rung."""
    monkeypatch.setattr(retry, "FIRST_PAUSE", 0.0)
    alone.climb()
    best.releasing.close()
    best.raises = KeyError("x")
    read = begin(alone.read)
    best.releasing.await_somebody()
    best.raises = None
    return read


def _meanwhile(best: Made, ending: Future[object], other: Future[object]) -> None:
    """Let the other do what it can while the reading still releases the rung; then end both."""
    wait([other], 0.3)
    best.releasing.open()
    ending.result(SECONDS)
    other.result(SECONDS)


def test_a_reading_that_failed_does_not_end_what_was_attached_again_meanwhile(
    alone: Attachment, best: Made, begin: Begin, ending: Future[object]
) -> None:
    _meanwhile(best, ending, begin(alone.climb))
    _counts(alone.status, best)
    assert alone.status.state is State.ATTACHED


def test_a_reading_that_failed_does_not_attach_again_what_was_detached(
    alone: Attachment, best: Made, begin: Begin, ending: Future[object]
) -> None:
    _meanwhile(best, ending, begin(alone.detach))
    assert (alone.status.state, alone.due, best.standing) == (State.DETACHED, False, 0)


def test_a_reading_that_failed_leaves_alone_what_is_being_detached(
    alone: Attachment, best: Made, begin: Begin
) -> None:
    alone.climb()
    best.reading.close()
    best.raises = KeyError("x")
    read = begin(alone.read)
    best.reading.await_somebody()
    best.releasing.close()
    detach = begin(alone.detach)
    best.reading.open()
    best.releasing.await_somebody()
    best.releasing.open()
    read.result(SECONDS)
    detach.result(SECONDS)
    assert (alone.status.state, alone.due, best.standing) == (State.DETACHED, False, 0)


def test_a_rung_that_was_taken_away_does_not_replace_what_was_attached_meanwhile(
    attachment: Attachment,
    best: Made,
    passive: Made,
    begin: Begin,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attachment.climb()
    gate, real = Gate(), Attachment._fall_back
    gate.close()
    taken = [True]

    def falls(self: Attachment, standing: Standing, problem: ProbeError) -> object:
        gate()
        return real(self, standing, problem)

    monkeypatch.setattr(Standing, "taken", lambda _: bool(taken and taken.pop()))
    monkeypatch.setattr(Attachment, "_fall_back", falls)
    read = begin(attachment.read)
    gate.await_somebody()
    attachment.detach()
    attachment.climb()
    gate.open()
    read.result(SECONDS)
    _counts(attachment.status, best)
    assert (attachment.status.state, passive.opened) == (State.ATTACHED, 0)


def test_a_rung_that_falls_back_while_it_is_detached_ends_detached(
    attachment: Attachment, passive: Made, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    attachment.climb()
    taken = [True]
    monkeypatch.setattr(Standing, "taken", lambda _: bool(taken and taken.pop()))
    passive.opening.close()
    read = begin(attachment.read)
    passive.opening.await_somebody()
    detach = begin(attachment.detach)
    passive.opening.open()
    read.result(SECONDS)
    detach.result(SECONDS)
    assert (attachment.status.state, passive.standing) == (State.DETACHED, 0)


# -- the budget ------------------------------------------------------------------------------


def test_the_budget_attaches_nothing_that_was_detached_meanwhile(
    attachment: Attachment, best: Made
) -> None:
    """It had been decided, and waited for a thread."""
    attachment.climb()
    attachment.detach()
    assert attachment.slow(8, "too dear").state is State.DETACHED
    assert attachment.cut_off("too dear").note == ""
    assert (best.standing, attachment.cut) == (0, False)


def test_the_budget_tries_nothing_again_that_was_detached_meanwhile(
    attachment: Attachment, best: Made
) -> None:
    attachment.climb()
    attachment.cut_off("too dear")
    attachment.detach()
    assert attachment.slow(64, "tried again").state is State.DETACHED
    assert best.standing == 0


@pytest.mark.parametrize("cut", [lambda a: a.slow(64, ""), lambda a: a.cut_off("too dear")])
def test_the_budget_leaves_alone_what_was_attached_to_be_kept_meanwhile(
    attachment: Attachment, best: Made, begin: Begin, cut: Callable[[Attachment], Status]
) -> None:
    attachment.climb()
    attachment.slow(8, "too dear")
    best.opening.close()
    climb = begin(lambda: attachment.climb(asked=True))
    best.opening.await_somebody()
    measure = begin(lambda: cut(attachment))
    best.opening.open()
    climb.result(SECONDS)
    measure.result(SECONDS)
    _counts(attachment.status, best)
    assert (attachment.status.one_in, attachment.kept, attachment.cut) == (1, True, False)


def test_what_the_budget_slows_while_the_user_attaches_it_counts_everything_in_the_end(
    attachment: Attachment, best: Made, begin: Begin
) -> None:
    attachment.climb()
    best.opening.close()
    slow = begin(lambda: attachment.slow(8, "too dear"))
    best.opening.await_somebody()
    climb = begin(lambda: attachment.climb(asked=True))
    best.opening.open()
    slow.result(SECONDS)
    climb.result(SECONDS)
    assert (attachment.status.one_in, attachment.kept) == (1, True)
    _counts(attachment.status, best)


def test_what_was_pinned_is_tried_again_pinned(attachment: Attachment, best: Made) -> None:
    """And not on another rung, of which nobody has spoken."""
    attachment.climb(pinned="best")
    attachment.cut_off("too dear")
    best.refuses = Unsupported("not just now")
    status = attachment.slow(64, "tried again")
    assert (status.state, status.pinned) == (State.FAILED, True)


# -- what cannot be released -----------------------------------------------------------------


class Lasting:
    """A handle on what outlives the process; it cannot be detached while `raises` is set."""

    link = None

    def __init__(self) -> None:
        self.raises: Exception | None = OSError(errno.EMFILE, "too many")
        self.there = True

    def __call__(self) -> None:
        if self.raises is not None:
            raise self.raises
        self.there = False

    def taken(self) -> bool:
        return False


@pytest.fixture
def stuck(attachment: Attachment, monkeypatch: pytest.MonkeyPatch) -> Lasting:
    """What the attachment's best rung attaches; it lasts."""
    made = Lasting()
    monkeypatch.setattr(Rung, "lasting", True)
    attachment.climb(asked=True)
    standing = attachment._standing
    assert standing is not None
    standing.held.append(made)
    standing.stack.callback(made)
    return made


def test_what_could_not_be_detached_is_said_and_detached_the_next_time(
    attachment: Attachment, stuck: Lasting
) -> None:
    for _ in range(2):
        with pytest.raises(OSError, match="too many"):
            attachment.detach()
        status = attachment.read().status
        assert (status.state, status.rung) == (State.FAILED, None)
        assert "not detached yet: detaching: too many" in status.refused[-1].why
    stuck.raises = None
    assert attachment.detach().state is State.DETACHED
    assert not stuck.there


def test_what_could_not_be_detached_does_not_keep_another_rung_from_standing(
    attachment: Attachment, stuck: Lasting, passive: Made
) -> None:
    """Nor does a climb raise it; it is a refusal."""
    status = attachment.climb(pinned="passive")
    assert status.state is State.PASSIVE
    assert [r.rung for r in status.refused] == ["best"]
    assert status.refused[0].why.startswith("not detached yet: ")
    stuck.raises = None
    attachment.climb(pinned="passive")
    assert not stuck.there
    assert passive.standing == 1


# -- what grows ------------------------------------------------------------------------------


@pytest.mark.parametrize("ends", ["detached", "gone", "renamed"])
def test_of_targets_that_were_there_once_nothing_is_kept(best: Made, ends: str) -> None:
    """Containers' interfaces come and go by the thousand; rows of each would take others' room."""
    rows = RowLimit(10 * MIN_ROWS)
    hook = Hook("made-up", "", "", COLUMNS, (best.rung(),))
    for n in range(100):
        attachment = Attachment(hook, Modules(Compiler()), f"veth{n}", n + 1, rows=rows)
        attachment.climb()
        attachment.read()
        if ends == "gone":
            best.raises = Gone("the interface has gone")
        elif ends == "renamed":
            attachment.rename("other")
        else:
            attachment.detach()
        attachment.read()
        best.raises = None
    assert rows._counts.keys() <= {HookId("made-up", "other")}


def test_failures_are_counted_to_the_same_end_as_before(alone: Attachment, best: Made) -> None:
    alone.climb()
    best.raises = OSError(errno.EIO, "")
    states = [alone.read().status.state for _ in range(MOST_FAILURES)]
    assert states[-2:] == [State.ATTACHED, State.FAILED]
    assert best.standing == 0


# -- whatever comes --------------------------------------------------------------------------


def _asks(attachment: Attachment, best: Made, of: random.Random) -> Callable[[], object]:
    """Something that some thread may ask of it."""
    best.raises = of.choice([None, None, KeyError("x"), OSError(errno.EMFILE, "")])
    best.refuses = of.choice([None, None, Unsupported("not here")])
    return of.choice([
        attachment.climb,
        lambda: attachment.climb(asked=True),
        attachment.climb_again,
        attachment.detach,
        attachment.read,
        attachment.stand_passive,
        lambda: attachment.slow(of.choice([1, 8]), "too dear"),
        lambda: attachment.cut_off("too dear"),
        lambda: attachment.fail(RuntimeError("can't start new thread")),
        lambda: attachment.rename("other"),
    ])  # fmt: skip


@pytest.mark.parametrize("seed", range(20))
def test_whatever_threads_ask_at_once_one_rung_stands_and_the_status_names_it(
    attachment: Attachment,
    best: Made,
    passive: Made,
    begin: Begin,
    seed: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retry, "FIRST_PAUSE", 0.0)

    def ask(which: int) -> None:
        of = random.Random(seed * 10 + which)
        for _ in range(50):
            _asks(attachment, best, of)()

    for asked in [begin(lambda which=which: ask(which)) for which in range(5)]:  # type: ignore[misc]
        asked.result(SECONDS)
    stand = [made.name for made in (best, passive) for _ in range(made.standing)]
    assert stand == [attachment.status.rung] * (attachment.status.rung is not None)
    best.raises = best.refuses = None
    assert attachment.climb(asked=True).rung == "best"
    attachment.detach()
    assert (best.standing, passive.standing) == (0, 0)
