"""Following interfaces: what fails in one look is made up for in the next, and told once each."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest

from probes.sources.live import following
from probes.sources.live.following import InterfaceFollower


class Changes:
    """In place of the kernel's reports: one for each look."""

    reports: Iterable[set[int]] = ()
    opened = 0

    def __init__(self) -> None:
        type(self).opened += 1
        self._left = [*self.reports]

    def seen(self) -> bool:
        return bool(self._left)

    def gone(self) -> frozenset[int]:
        return frozenset(self._left.pop(0) if self._left else ())

    def close(self) -> None: ...


class Kernel:
    """In place of interfaces, attachments and rules. raises: what the next call of a name does."""

    def __init__(self) -> None:
        self.names = {1: "a0", 2: "b0"}
        self.raises: dict[str, Exception] = {}
        self.removed: list[set[int]] = []
        self.followed: list[Mapping[int, str]] = []

    def _may_fail(self, name: str) -> None:
        if (raised := self.raises.pop(name, None)) is not None:
            raise raised

    def list(self, _: object) -> dict[int, str]:
        self._may_fail("list")
        return dict(self.names)

    def interfaces(self) -> set[str]:
        return set()

    def remove_on(self, gone: Iterable[int]) -> list[Any]:
        if gone:
            self.removed.append({*gone})
        return []

    def rename(self) -> None: ...

    def follow(self, there: Mapping[int, str]) -> None:
        self.followed.append(there)
        self._may_fail("follow")


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


@pytest.fixture
def looks(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> Callable[[int], list[tuple[str, BaseException]]]:
    """Looks so many times; returns what was told."""
    monkeypatch.setattr(following.route, "Changes", Changes)
    monkeypatch.setattr(Changes, "opened", 0)
    told: list[tuple[str, BaseException]] = []

    async def run(work: Callable[[], object]) -> object:
        return work()

    def look(times: int) -> list[tuple[str, BaseException]]:
        each: Any = kernel
        follower = InterfaceFollower(
            {},  # type: ignore[arg-type]
            each,
            each,
            each,
            each,
            run=run,
            begin=lambda _: None,
            tell=lambda what, raised: told.append((what, raised)),
        )
        left = iter([0.0] * times)

        async def until_none_is_left() -> None:
            await follower.follow(left.__next__)

        with pytest.raises(RuntimeError, match="StopIteration"):
            asyncio.run(until_none_is_left())
        return told

    return look


def test_what_went_while_interfaces_could_not_be_listed_has_gone(
    kernel: Kernel, looks: Callable[[int], list[tuple[str, BaseException]]]
) -> None:
    Changes.reports = [{2}]
    kernel.raises["list"] = OSError(errno.EMFILE, "")
    told = looks(2)
    assert [what for what, _ in told] == ["following interfaces"]
    assert kernel.removed == [{2}], "although there is one of that number again"
    assert Changes.opened == 1, "or what is reported meanwhile would be lost"


def test_rules_on_an_interface_that_has_another_s_number_are_left_alone(
    kernel: Kernel, looks: Callable[[int], list[tuple[str, BaseException]]]
) -> None:
    """Those that were there are told of it once, whether they could be ended or not."""
    Changes.reports = [{2}, set()]
    kernel.raises["follow"] = OSError(errno.EMFILE, "")
    told = looks(2)
    assert [what for what, _ in told] == ["ending drop rules"]
    assert kernel.followed == [{1: "a0"}, {1: "a0", 2: "b0"}]


def test_rules_that_could_not_even_be_told_are_told_the_next_time(
    kernel: Kernel,
    looks: Callable[[int], list[tuple[str, BaseException]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Changes.reports = [{2}]
    real = InterfaceFollower._follow_rules
    none: list[Exception] = [RuntimeError("can't start new thread")]

    def refused(self: InterfaceFollower, now: Mapping[int, str]) -> None:
        if none:
            raise none.pop()
        real(self, now)

    monkeypatch.setattr(InterfaceFollower, "_follow_rules", refused)
    looks(3)
    assert kernel.followed == [{1: "a0"}]
