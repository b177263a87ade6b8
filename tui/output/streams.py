"""The standard streams, made safe in whatever state the program received them."""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO


class CannotPrint(Exception):
    """Standard output is closed or takes no more; one sentence."""


def make_ready() -> None:
    """Give each standard stream a descriptor of its own, and a sentence for failing writes.

    Otherwise a BPF map could get the number of a closed descriptor, and output would be written to
    the map. Writing to standard output raises `CannotPrint`, or BrokenPipeError if the reader has
    gone; writing to standard error never raises.
    """
    closed = [fd for fd in (0, 1, 2) if not _is_open(fd)]
    for fd in closed:
        nothing = _nothing()
        if nothing != fd:
            os.dup2(nothing, fd)
            os.close(nothing)
    if 0 in closed or sys.stdin is None:
        sys.stdin = io.StringIO()
    sys.stdout = _standard_output(closed=1 in closed)
    if sys.stderr is None or sys.stderr is sys.__stderr__:
        sys.stderr = _ErrorStream(2)


def give_up() -> None:
    """Discard all further output to standard output, also at exit."""
    os.dup2(_nothing(), 1)


def _nothing() -> int:
    try:
        return os.open(os.devnull, os.O_RDWR)
    except OSError:  # a root without /dev
        return os.memfd_create("nothing")


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def _standard_output(*, closed: bool) -> TextIO:
    if closed or sys.stdout is None:
        return _Closed()
    before = sys.stdout
    if before is not sys.__stdout__ or not isinstance(before, io.TextIOWrapper):
        return before  # somebody captures it
    # A process may be called anything: what the terminal's encoding lacks is no error.
    return _StandardStream(
        before.buffer,
        encoding=before.encoding,
        errors="backslashreplace",
        line_buffering=before.line_buffering,
    )


class _StandardStream(io.TextIOWrapper):
    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except BrokenPipeError:
            raise
        except OSError as why:
            raise CannotPrint(f"cannot write to standard output: {why.strerror}") from None

    def flush(self) -> None:
        try:
            super().flush()
        except BrokenPipeError:
            raise
        except OSError as why:
            raise CannotPrint(f"cannot write to standard output: {why.strerror}") from None


class _Closed(io.StringIO):
    def write(self, _text: str, /) -> int:
        raise CannotPrint("standard output is closed: there is nowhere to print to")


class _ErrorStream(io.TextIOWrapper):
    """Standard error, unbuffered; failing writes are ignored."""

    def __init__(self, fd: int) -> None:
        raw = io.FileIO(fd, "w", closefd=False)
        super().__init__(
            io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace", write_through=True
        )

    def write(self, text: str, /) -> int:
        try:
            written = super().write(text)
            super().flush()
        except OSError:
            return len(text)
        return written

    def flush(self) -> None:
        try:
            super().flush()
        except OSError:
            pass
