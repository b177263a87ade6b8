"""Background work: what ends it is reported, once, and never the program's end."""

from __future__ import annotations

import asyncio

import pytest

from probes.model import HookId, Refusal, State, Status
from probes.sources.live import source
from probes.sources.live.background import BackgroundTasks
from probes.sources.live.source import Live


async def _raises(raised: Exception) -> None:
    raise raised


async def test_work_that_is_begun_once_says_what_ended_it() -> None:
    notices: list[str] = []
    background = BackgroundTasks(lambda: 0.0, notices)
    for _ in range(2):
        background.spawn(_raises(KeyError("x")))
        background.spawn(_raises(MemoryError()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [notice.partition(":")[2].split(" ")[1] for notice in notices] == ["KeyError:", "Cannot"]
    assert not background.tasks


async def test_what_is_cancelled_is_no_error() -> None:
    notices: list[str] = []
    background = BackgroundTasks(lambda: 0.0, notices)
    background.spawn(asyncio.sleep(60))
    await asyncio.sleep(0)
    background.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert notices == []


@pytest.mark.parametrize(
    "step", ["_detach_lasting", "_detach_all", "_close_stats", "_compiler.close", "_rules.close"]
)
def test_one_step_of_the_end_that_fails_keeps_no_other_from_being_done(
    monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    live, done = Live(wanted=[]), list[str]()
    names = ("_detach_lasting", "_compiler.close", "_climbers.close", "_rules.close",
             "_detach_all", "_readers.close", "_close_stats")  # fmt: skip

    def record(name: str) -> None:
        done.append(name)
        if name == step:
            raise MemoryError

    for name in names:
        of, _, method = name.rpartition(".")
        where = getattr(live, of) if of else live
        monkeypatch.setattr(where, method, lambda name=name: record(name))
    live.close_now()
    assert done == list(names)
    assert any("ending" in notice for notice in live.notices)


@pytest.mark.parametrize("code", ["EMFILE", "ENFILE", "ENOMEM"])
def test_what_is_short_is_the_most_telling_refusal(code: str) -> None:
    refused = (
        Refusal("best", "ENOENT", "this kernel is built without it"),
        Refusal("next", code, "too many", remedy="more"),
    )
    failure = source._failure(Status(HookId("drops"), State.FAILED, None, refused))
    assert (str(failure), failure.remedy) == ("drops: next: too many", "more")
