"""Handles: the kernel is asked whether something is still attached, of many less often."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from probes.attach import handle
from probes.attach.handle import AT_ONCE, Handle


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(handle, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(handle, "_links", set())
    return now


def _asked_in(seconds: int, links: int, clock: list[float]) -> list[int]:
    """Return how often each of so many links is asked about when all are read once a second."""
    asked = [0] * links

    def there(link: int) -> bool:
        asked[link] += 1
        return True

    held = [Handle(lambda: None, lambda n=n: there(n), link=n) for n in range(links)]  # type: ignore[misc]
    for _ in range(seconds):
        clock[0] += 1.0
        assert not any(one.taken() for one in held)
    for one in held:
        one()
    return asked


def test_a_few_links_are_asked_at_each_reading(clock: list[float]) -> None:
    assert _asked_in(10, AT_ONCE, clock) == [10] * AT_ONCE


def test_of_many_links_each_is_asked_now_and_then(clock: list[float]) -> None:
    assert _asked_in(12, 4 * AT_ONCE, clock) == [3] * 4 * AT_ONCE
    assert _asked_in(10, 1, clock) == [10], "those that were released no longer count"


def test_what_was_taken_is_told(clock: list[float]) -> None:
    held = Handle(lambda: None, lambda: False, link=7)
    clock[0] += 1.0
    assert held.taken()
    assert not Handle(lambda: None).taken(), "nobody else can detach it"
