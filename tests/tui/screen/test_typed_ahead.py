"""Keys that come faster than the screen: nothing is lost, and nothing is answered unseen."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest

from probes.drop_rule import parse
from probes.model import HookId, State, Status
from probes.sources.demo.source import Demo
from tests.support.amounts import amounts
from tests.support.screens import Screen
from tests.support.stage import playing, settle, text
from tests.support.terminals import Terminal, restored, terminal
from tui.widgets.prompt import Question

DEMO = """
from probes.sources.demo.source import Demo
from tui.screen.app import run
raise SystemExit(run(Demo(begin=40)))
"""
ASKS_WHERE, ANSWER = b"\x1b[6n", b"\x1b[1;1R"


def _exported(state: Path) -> bool:
    return bool(list(state.glob("ebpftop/*.csv")))


def _screen(child: Terminal) -> str:
    screen = Screen()
    screen.feed(child.output.decode(errors="replace"))
    return screen.text()


def _settle(child: Terminal, seconds: float = 0.5) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        child.take()


def test_what_is_typed_behind_the_key_of_a_prompt_arrives_in_it(tmp_path: Path) -> None:
    """Over a slow line all of it comes at once: no letter is taken for a key."""
    with terminal(DEMO, tmp_path) as child:
        child.read_until(b"SOCKET_RCVBUFF")
        os.write(child.fd, b"2/lqdazW9")
        child.until(lambda: "Filter: lqdazW9" in _screen(child))
        os.write(child.fd, b"\x1b")
        _settle(child, 0.3)
        os.write(child.fd, b":zoom")
        child.until(lambda: "Command: zoom" in _screen(child))
        os.write(child.fd, b"\r")
        _settle(child, 0.5)
        os.write(child.fd, b"q")
        assert child.leave() == 0
        assert restored(child)


def test_no_answer_counts_that_was_typed_before_the_question_was_painted(tmp_path: Path) -> None:
    """E asks, and c is typed with it; only one that follows what was read is an answer."""
    with terminal(DEMO, tmp_path) as child:
        child.read_until(b"SOCKET_RCVBUFF")
        os.write(child.fd, b"2Ec")
        child.read_until(b"c: CSV")
        _settle(child)
        assert not _exported(tmp_path)
        os.write(child.fd, b"c")
        child.read_until(b"written to")
        assert _exported(tmp_path)
        os.write(child.fd, b"q")
        assert child.leave() == 0


def test_a_terminal_that_says_when_it_has_painted_is_waited_for(tmp_path: Path) -> None:
    """A slow line: the answer to where its cursor is comes behind what was typed too early."""
    with terminal(DEMO, tmp_path) as child:
        child.read_until(ASKS_WHERE)
        os.write(child.fd, ANSWER)
        child.read_until(b"SOCKET_RCVBUFF")
        child.output = b""
        os.write(child.fd, b"2E")
        child.read_until(b"c: CSV")
        child.read_until(ASKS_WHERE)
        os.write(child.fd, b"c")  # on its way before the question was to be seen
        _settle(child, 0.5)
        os.write(child.fd, ANSWER)
        _settle(child, 0.5)
        assert not _exported(tmp_path)
        os.write(child.fd, b"c")
        child.read_until(b"written to")
        assert _exported(tmp_path)
        os.write(child.fd, b"q")
        assert child.leave() == 0


def test_enter_that_was_typed_before_a_prompt_takes_nothing(tmp_path: Path) -> None:
    """W offers a name: Enter takes it once it is to be seen."""
    name = tmp_path / "kept.rec"
    with terminal(DEMO, tmp_path) as child:
        child.read_until(b"SOCKET_RCVBUFF")
        os.write(child.fd, b"W\x15" + str(name).encode() + b"\r")
        child.read_until(name.name.encode())
        _settle(child)
        assert not name.exists()
        os.write(child.fd, b"\r")
        child.read_until(b"moments")
        assert name.exists()
        os.write(child.fd, b"q")
        assert child.leave() == 0


# -- what fails with what is typed -------------------------------------------------------------


def _fails(*_: object) -> Any:
    raise RuntimeError("no such thing\nat all")


@pytest.mark.parametrize("where", ["note", "typed", "complete", "done"])
async def test_what_a_prompt_calls_may_fail(where: str) -> None:
    """It is said below the line, in one; what was typed stays, and Esc leaves it."""
    async with playing() as (app, pilot):
        calls: dict[str, Any] = {"done": lambda _: None, where: _fails}
        app.prompt.ask(Question("Which?", **calls))
        await pilot.press("a", "tab" if where == "complete" else "enter")
        await settle(pilot)
        if where != "typed":
            assert "not accepted: no such thing?at all" in text(app)
            assert "Which? a" in text(app)
        await pilot.press("escape", "escape")
        assert app.is_running
        assert app.crashed is None


async def test_what_a_prompt_begins_may_fail_later() -> None:
    """An attach that raises what nobody expected: a sentence, and the screen stays."""

    async def fails() -> None:
        await asyncio.sleep(0)
        _fails()

    async with playing() as (app, pilot):
        app.carry_out(fails())
        await settle(pilot)
        assert app.is_running
        assert any("no such thing" in n.message for n in app._notifications)


class Failing(Demo):
    """A source whose requests fail in ways that nobody thought of."""

    async def attach(self, id: HookId, rung: str | None = None) -> Status:
        return _fails(id, rung)  # type: ignore[no-any-return]

    async def cautions(self, *rule: object) -> tuple[str, ...]:
        return _fails(*rule)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "keys",
    [
        ("3", "enter"),  # a detail that attaches a hook
        ("7",),  # a pane that does
        ("2", "D", *"proto", "space", *"icmp", "enter"),
    ],
    ids=["detail", "pane", "rule"],
)
async def test_what_a_source_fails_with_is_said_and_ends_nothing(keys: tuple[str, ...]) -> None:
    async with playing(source=Failing) as (app, pilot):
        await pilot.press(*keys)
        await settle(pilot)
        assert app.is_running
        assert app.crashed is None
        assert any("no such thing" in n.message for n in app._notifications)


ODD = (
    "~nosuchuser", "~nosuchuser/x", "~", "/", "/tmp", "a" * 300, "/tmp/" + "a/" * 3000, "\0",
    "~\0", "/proc/1/root/x", "\udc80", "9" * 5000, "1e999", "rx>" + "9" * 400, "rx>nan",
    "udp dport " + "9" * 5000, "proto " + "9" * 5000 + " ttl 5m", "+1e999", "+nan", "\u00b2",
    "where=pid==1", "kprobe:a,where=pid==1", "kprobe:a,where=pid==\u00b2", "uprobe:\0:x",
    "uprobe:" + "a" * 5000 + ":x", "tracepoint::", "tracepoint:,*", "\u202e", "\u65e5\u672c",
)  # fmt: skip


@amounts("texts", quick=ODD[::4], slow=ODD)
@pytest.mark.parametrize("keys", ["slash", "W", "w", "P", "D", "own"])
async def test_odd_texts_at_every_prompt_get_a_sentence(
    texts: tuple[str, ...], keys: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With each letter, Tab and Enter; the screen stays."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    async with playing() as (app, pilot):
        for odd in texts:
            if keys == "own":
                await pilot.press("colon", *"custom hook", "enter")
            else:
                await pilot.press(keys)
            question = app.prompt.question
            assert question is not None, keys
            app.prompt._type(question, odd)
            await pilot.press("tab", "end", "enter", *["escape"] * 4)
            if app.session.recorder is not None:
                app.session.stop_recording()
            assert app.crashed is None, ascii(odd)
            assert app.is_running, ascii(odd)


# -- one key, one hook -------------------------------------------------------------------------


class Slow(Demo):
    """Detaches when it is told to."""

    let = asyncio.Event()

    async def detach(self, id: HookId) -> Status:
        await self.let.wait()
        return await super().detach(id)


def _detached(app: Any) -> list[HookId]:
    events = app.session.collector.control.events
    return [e.text.split(" ")[0] for e in events if "detached" in e.text]


async def test_d_twice_detaches_one_hook() -> None:
    """Whatever the rows have done meanwhile: the second one is about the same."""
    async with playing(pane="hooks") as (app, pilot):
        before = {s.id for s in app.session.source.statuses() if s.state is State.ATTACHED}
        id = next(r.key for r in app.table.rows if r.key in before and r.key.target is None)
        app.table.select_key(id)
        app.table._followed = True  # nobody holds it there: it goes to what is wrong
        app.table.key = id
        await pilot.press("d", "d", "d")
        await settle(pilot)
        await pilot.press("d")
        await settle(pilot)
        after = {s.id for s in app.session.source.statuses() if s.state is State.ATTACHED}
        assert before - after == {id}
        assert _detached(app) == [str(id)]


async def test_d_while_it_is_being_detached_says_so() -> None:
    """It is asked for once."""
    Slow.let = asyncio.Event()
    async with playing(pane="hooks", source=Slow) as (app, pilot):
        app.table.select_key(HookId("drops"))
        await pilot.press("d", "d")
        assert any("drops is being detached" in n.message for n in app._notifications)
        Slow.let.set()
        await settle(pilot)
        assert _detached(app) == ["drops"]


async def test_a_row_that_has_just_come_under_the_selection_is_not_detached() -> None:
    """The selection went there by itself: who pressed the key has seen another row."""
    async with playing(pane="hooks") as (app, pilot):
        app.table.moved = time.monotonic() + 60
        await pilot.press("d")
        await settle(pilot)
        assert _detached(app) == []
        await pilot.press("down", "up")
        app.table.moved = 0.0
        app.table.select_key(HookId("drops"))
        await pilot.press("d")
        await settle(pilot)
        assert _detached(app) == ["drops"]


async def test_d_in_the_list_of_rules_ends_one() -> None:
    """The row is gone after the first; the next rule is another one."""
    async with playing() as (app, pilot):
        for number in (1, 2, 3):
            await app.session.source.add_rule("eth0", parse(f"src 192.0.2.{number} ttl 10m"))
        await settle(pilot)
        await pilot.press("L")
        await settle(pilot)
        await pilot.press("d", "d")
        await settle(pilot)
        await pilot.press("d")
        await settle(pilot)
        assert len(app.session.source.rules()) == 2
        await pilot.press("down", "d")
        await settle(pilot)
        assert len(app.session.source.rules()) == 1


# -- leaving with rules ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "leaves"),
    [
        (("q",), False), (("f10",), False), (("q", "n"), False), (("q", "enter"), False),
        (("q", "escape"), False), (("q", "x"), False),
        (("q", "q"), True), (("q", "y"), True), (("f10", "f10"), True), (("ctrl+c",), True),
        (("ctrl+q",), True), (("q", "ctrl+c"), True),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else None,
)  # fmt: skip
async def test_q_asks_once_while_a_rule_stands(keys: tuple[str, ...], leaves: bool) -> None:
    """It ends with us; ^C and ^Q ask nothing."""
    async with playing() as (app, pilot):
        await app.session.source.add_rule("eth0", parse("src 192.0.2.7 ttl 10m"))
        await settle(pilot)
        left: list[int] = []
        app.leave = left.append  # type: ignore[method-assign]
        for key in keys:
            await pilot.press(key)
        assert bool(left) is leaves
        if keys == ("q",):
            assert "A drop rule ends when you quit. Quit?" in text(app)


async def test_q_without_a_rule_leaves() -> None:
    """At once."""
    async with playing() as (app, pilot):
        left: list[int] = []
        app.leave = left.append  # type: ignore[method-assign]
        await pilot.press("q")
        assert left == [0]
