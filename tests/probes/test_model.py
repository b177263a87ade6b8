"""Declarations: hooks, rungs, ids and statuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from probes.model import (
    Column,
    Hook,
    HookId,
    Kind,
    Reading,
    Refusal,
    Rung,
    State,
    Status,
    TargetKind,
)


def _open(_: object) -> Callable[[], Reading]:
    return Reading


def test_a_hook_stores_all_but_its_derived_columns() -> None:
    columns = (
        Column("name", "Name", kind=Kind.KEY),
        Column("calls", "Calls", kind=Kind.COUNTER),
        Column("mean", "Mean", kind=Kind.DERIVED, derive=lambda _: None),
        Column("level", "Level"),
    )
    hook = Hook("made-up", "Made up", "Nothing.", columns, ())
    assert [c.name for c in hook.stored] == ["name", "calls", "level"]
    assert hook.column("mean").kind is Kind.DERIVED


def test_a_rung_without_programs_is_passive_and_needs_no_source() -> None:
    rung = Rung("look", "nothing", _open)
    assert rung.passive
    assert rung.source_for(None) == ""


def test_a_rung_that_attaches_by_itself_or_needs_something_is_not_passive() -> None:
    assert not Rung("follow", "Linux", _open, source="int f;").passive
    assert not Rung("counts", "Linux", _open, precheck=lambda: None).passive


def test_a_source_may_be_made_for_a_target() -> None:
    rung = Rung("look", "nothing", _open, source=lambda target: f"int {target};")
    assert rung.source_for("x") == "int x;"
    assert Rung("look", "nothing", _open, source="int y;").source_for("x") == "int y;"


@pytest.mark.parametrize(
    ("text", "id"),
    [
        ("drops", HookId("drops")),
        ("xdp@eth0", HookId("xdp", "eth0")),
        ("xdp@", HookId("xdp", "")),
        ("xdp@a@b", HookId("xdp", "a@b")),
        ("", HookId("")),
    ],
)
def test_a_hook_and_its_target_are_written_with_an_at_sign(text: str, id: HookId) -> None:
    assert HookId.parse(text) == id
    assert str(id) == text


@pytest.mark.parametrize(
    ("state", "refused", "degraded"),
    [
        (State.ATTACHED, True, True),
        (State.PASSIVE, True, True),
        (State.ATTACHED, False, False),
        (State.FAILED, True, False),
        (State.ATTACHING, True, False),
    ],
)
def test_a_hook_is_degraded_when_its_numbers_come_from_a_lower_rung(
    state: State, refused: bool, degraded: bool
) -> None:
    refusals = (Refusal("best", "EPERM", "no"),) if refused else ()
    assert Status(HookId("made-up"), state, "lower", refusals).degraded is degraded


def test_targets_have_words() -> None:
    assert not TargetKind.NONE
    assert str(TargetKind.INTERFACE) == "interface"


def test_a_status_says_since_when_nothing_was_read() -> None:
    status = Status(
        HookId("drops"), State.ATTACHED, "raw-tracepoint", note="a; not read since 1: b"
    )
    assert status.unread == "not read since 1: b"
    assert replace(status, note="a").unread == ""
