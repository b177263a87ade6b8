"""Questions to the kernel: would this rung work here? Yes, no, or cannot tell; with the reason.

A question is asked with the smallest program there is, loaded (and, for `answer`, attached for a
moment where that changes nothing) exactly as the real one would be. It may veto a rung, which saves
useless compiling; only attaching the real one proves it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from probes.attach import persistent
from probes.attach import program as bpf_program
from probes.errors import ProbeError, as_refusal
from probes.kernel import bpf
from probes.model import Program, Rung


class AnswerWord(StrEnum):
    """An answer in one word."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Answer:
    """The kernel's answer about a rung. error: errno's name or the kind of refusal, for NO."""

    word: AnswerWord
    why: str = ""
    remedy: str = ""
    error: str = ""


def veto(rung: Rung, ifindex: int = 0) -> ProbeError | None:
    """Return the refusal that makes compiling the rung's programs pointless, if there is one."""
    if rung.precheck is not None and (refusal := rung.precheck()) is not None:
        return refusal
    for program in rung.programs:
        try:
            with _loaded(program):
                program.point.check(ifindex)
        except ProbeError as refusal:
            if not program.optional:
                return refusal
    return persistent.unrecordable() if rung.lasting else None


def answer(rung: Rung, ifindex: int = 0) -> Answer:
    """Return whether the rung would work, as far as can be told without changing anything."""
    try:
        return _answer(rung, ifindex)
    except Exception as raised:  # of this one; the others are still to be asked
        return Answer(AnswerWord.UNKNOWN, as_refusal(raised, f"asking for {rung.name}").why)


def _answer(rung: Rung, ifindex: int) -> Answer:
    if rung.precheck is not None and (refusal := rung.precheck()) is not None:
        return Answer(AnswerWord.NO, refusal.why, refusal.remedy, refusal.code)
    word, why = AnswerWord.YES, ""
    for program in rung.programs:
        try:
            with _loaded(program) as fd:
                program.point.check(ifindex)
                if unknown := program.point.rehearse(fd, ifindex):
                    word, why = AnswerWord.UNKNOWN, unknown
        except ProbeError as refusal:
            if not program.optional:
                return Answer(AnswerWord.NO, refusal.why, refusal.remedy, refusal.code)
            why = f"{program.without}: {refusal.why}"
    if rung.lasting and (refused := persistent.unrecordable()) is not None:
        return Answer(AnswerWord.NO, refused.why, refused.remedy, refused.code)
    return Answer(word, why)


@contextmanager
def _loaded(program: Program) -> Iterator[int]:
    fd = bpf_program.load(program.point, bpf.exit_with(program.point.neutral), "probe")
    try:
        yield fd
    finally:
        os.close(fd)
