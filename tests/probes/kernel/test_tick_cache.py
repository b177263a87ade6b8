"""What several hooks ask of the kernel in one reading."""

from __future__ import annotations

import threading

import pytest

from probes.kernel.tick_cache import active, cached, one_reading


def _counting() -> list[int]:
    """Something that answers otherwise each time."""
    asked.append(len(asked))
    return list(asked)


asked: list[int] = []


@pytest.fixture(autouse=True)
def _anew() -> None:
    asked.clear()


def test_in_a_reading_it_is_asked_once_and_outside_each_time() -> None:
    assert (cached(_counting), cached(_counting)) == ([0], [0, 1])
    with one_reading():
        assert cached(_counting) is cached(_counting)
    with one_reading():
        assert cached(_counting) == [0, 1, 2, 3], "the next reading asks anew"
    assert not active()


def test_a_refusal_is_not_kept() -> None:
    def refuses() -> int:
        asked.append(0)
        if len(asked) == 1:
            raise OSError("not now")
        return 7

    with one_reading():
        with pytest.raises(OSError, match="not now"):
            cached(refuses)
        assert cached(refuses) == 7
    with pytest.raises(OSError, match="later"), one_reading():
        raise OSError("later")
    assert not active(), "a reading that failed is over"


def test_a_reading_is_of_its_thread_alone() -> None:
    seen: list[bool] = []
    with one_reading():
        other = threading.Thread(target=lambda: seen.append(active()))
        other.start()
        other.join()
        assert active()
    assert seen == [False]
