"""What a rung says of what has changed: in the status, as long as it is so."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from probes.compile.compiler import Compiler
from probes.ladder.attachment import Attachment
from probes.ladder.modules import Modules
from probes.model import Column, Hook, Kind, Opening, Reading, Rung, Status

GONE = "the process has ended"


class Source:
    """Rows that do not change; raises what it is told to, says what it is told to."""

    def __init__(self) -> None:
        self.raises: BaseException | None = None
        self.said = ""

    def open(self, _: Opening) -> Callable[[], Reading]:
        return self.read

    def read(self) -> Reading:
        if self.raises is not None:
            raise self.raises
        return Reading([("a",)])


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def attachment(source: Source) -> Attachment:
    rung = Rung("own", "nothing", source.open, misses="much", changed=lambda: source.said)
    hook = Hook("made-up", "Made up", "Nothing.", (Column("a", "A", kind=Kind.KEY),), (rung,))
    made = Attachment(hook, Modules(Compiler()))
    made.climb()
    return made


def _note(attachment: Attachment) -> str:
    return attachment.read().status.note


def test_it_is_said_while_it_is_so_and_not_after(attachment: Attachment, source: Source) -> None:
    notes = []
    for source.said in ("", GONE, GONE, "another", ""):
        notes.append(_note(attachment))
    assert notes == ["much", f"much; {GONE}", f"much; {GONE}", "much; another", "much"]


@pytest.mark.parametrize("again", [Attachment.climb, lambda a: a.slow(1, "")])
def test_it_is_said_again_where_the_same_rung_is_attached_again(
    attachment: Attachment, source: Source, again: Callable[[Attachment], Status]
) -> None:
    source.said = GONE
    _note(attachment)
    again(attachment)
    assert _note(attachment) == f"much; {GONE}"
    source.said = ""
    assert _note(attachment) == "much"


@pytest.mark.parametrize(("before", "after"), [("", GONE), (GONE, ""), (GONE, "another")])
def test_a_failure_that_is_over_is_not_said_any_more_where_something_else_is(
    attachment: Attachment, source: Source, before: str, after: str
) -> None:
    source.said = before
    _note(attachment)
    source.raises = OSError(errno.EMFILE, "")
    assert "not read since" in _note(attachment)
    source.raises, source.said = None, after
    assert _note(attachment) == "; ".join(filter(None, ("much", after)))


def test_a_failure_that_lasts_is_still_said_when_the_same_rung_was_attached_again(
    attachment: Attachment, source: Source
) -> None:
    source.raises = OSError(errno.EMFILE, "")
    for _ in range(3):
        assert "not read since" in _note(attachment)
    attachment.climb()
    assert "not read since" in _note(attachment)
    source.raises = None
    assert _note(attachment) == "much"
