"""Answers that are kept, and those that are asked for again."""

from __future__ import annotations

import pytest

from probes.kernel.remembered import remembered


def test_an_answer_is_asked_for_once_and_what_is_missing_again() -> None:
    answers: dict[str, list[object]] = {
        "mounted later": [None, {}, {"a": 1}, {"b": 2}],
        "there": ["x", "y"],
    }

    @remembered
    def ask(what: str) -> object:
        return answers[what].pop(0)

    assert [ask("mounted later") for _ in range(4)] == [None, {}, {"a": 1}, {"a": 1}]
    assert [ask("there"), ask("there")] == ["x", "x"]
    ask.cache_clear()
    assert ask("there") == "y"


def test_an_exception_is_not_kept() -> None:
    raised = [OSError()]

    @remembered
    def ask() -> int:
        if raised:
            raise raised.pop()
        return 7

    with pytest.raises(OSError):  # noqa: PT011
        ask()
    assert ask() == 7
