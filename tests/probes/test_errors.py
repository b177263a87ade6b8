"""Refusals: the tree in the docstring is the tree, and each has a code and a sentence."""

from __future__ import annotations

import errno
import inspect
import os
import socket

import pytest

from probes import errors
from probes.errors import Busy, Denied, Gone, LoadFailed, ProbeError, Unsupported
from probes.kernel.patience import TookTooLong


def _classes() -> set[type[ProbeError]]:
    members: list[type] = [value for _, value in inspect.getmembers(errors, inspect.isclass)]
    return {c for c in members if issubclass(c, ProbeError)}


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = {
        line.split()[1]
        for line in (errors.__doc__ or "").splitlines()
        if line.strip().startswith(("├──", "└──"))
    }
    assert {c.__name__ for c in _classes() - {ProbeError}} == drawn
    assert all(c.__bases__ == (ProbeError,) for c in _classes() - {ProbeError})


@pytest.mark.parametrize("kind", sorted(_classes(), key=str))
def test_every_refusal_is_a_sentence_with_what_to_do(kind: type[ProbeError]) -> None:
    refusal = kind("it may not", errno=errno.EPERM, remedy="Ask.", log="words")
    assert str(refusal) == refusal.why == "it may not"
    assert (refusal.errno, refusal.remedy, refusal.log) == (errno.EPERM, "Ask.", "words")
    bare = kind("no")
    assert (bare.errno, bare.remedy, bare.log) == (0, "", "")
    assert kind.__doc__


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Denied("", errno=errno.EPERM), "EPERM"),
        (Busy("", errno=errno.EBUSY), "EBUSY"),
        (Unsupported("", errno=95), "EOPNOTSUPP"),
        (Unsupported("", errno=524), "ENOTSUPP"),
        (Unsupported(""), "Unsupported"),
        (Gone(""), "Gone"),
        (LoadFailed("", errno=9999), "LoadFailed"),
    ],
)
def test_a_code_is_the_errno_s_name_or_the_kind(error: ProbeError, code: str) -> None:
    assert error.code == code


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EIO, os.strerror(errno.EIO)), "Input/output error"),
        (TookTooLong("no answer within 5 s"), "no answer within 5 s"),
        (OSError(0, "the child has ended"), "the child has ended"),
        (OSError(0, os.strerror(0)), "no reason was given"),
        (OSError("two\nlines"), "two lines"),
        (TimeoutError(), "no reason was given"),
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
    ],
)
def test_no_error_is_called_a_success(error: OSError, words: str) -> None:
    assert errors.in_words(error) == words
    if error.errno is not None:
        assert errors.as_refusal(error, "reading").why == f"reading: {words}"
