"""Requests: what is told at once, and what is only logged."""

from __future__ import annotations

from typing import Any

import pytest

from probes.errors import ProbeError
from probes.model import HookId
from tui.session.control import Control

ID = HookId("syscall-processes", "openat")


class _Full:
    """A source that has no room."""

    async def attach(self, id: HookId, _rung: str | None = None) -> Any:
        raise ProbeError(f"{id}: btf-tracepoint: there is no room")

    def statuses(self) -> tuple[Any, ...]:
        return ()


@pytest.mark.parametrize(("asked", "told"), [({"quiet": True}, 1), ({}, 1), ({"unasked": True}, 0)])
async def test_a_refusal_of_what_nobody_asked_for_is_only_logged(
    asked: dict[str, bool], told: int
) -> None:
    toasts: list[str] = []
    source: Any = _Full()
    control = Control(source, lambda text, _: toasts.append(text), lambda: (0.0, 0.0))
    assert not await control.attach(ID, **asked)
    (event,) = control.events
    assert event.text.startswith(f"{ID} not attached: btf-tracepoint: there is no room")
    assert (len(toasts), event.role) == (told, "bad" if told else "muted")
