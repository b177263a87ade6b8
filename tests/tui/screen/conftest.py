"""Goldens: screens that are compared with what is kept of them in snapshots/screens/."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import pytest_textual_snapshot
from textual.pilot import Pilot

from tests.support.goldens import PICTURES, Golden, Pictures, Texts, painted, tell_roles
from tests.support.stage import settle, step

pytest_textual_snapshot.SVGImageExtension = Pictures


@pytest.fixture
def golden(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Golden:
    """Compares a screen, after those keys, with what is kept: a text, or one of the PICTURES."""

    def compare(app: Any, size: tuple[int, int], *keys: str) -> None:
        if request.node.callspec.id in PICTURES:
            compares = request.getfixturevalue("snap_compare")
            assert compares(app, terminal_size=size, run_before=lambda p: _press(p, keys))
        else:
            tell_roles(monkeypatch)
            shown = asyncio.run(_shown(app, size, keys))
            assert shown == request.getfixturevalue("snapshot").use_extension(Texts)

    return compare


async def _shown(app: Any, size: tuple[int, int], keys: tuple[str, ...]) -> str:
    async with app.run_test(size=size) as pilot:
        await _press(pilot, keys)
        await pilot.pause()
        return painted(app)


async def _press(pilot: Pilot[Any], keys: tuple[str, ...]) -> None:
    """Presses them; "+3": three ticks go by; "!": toasts go."""
    await settle(pilot)
    for key in keys:
        if key.startswith("+"):
            await step(pilot, int(key))
        elif key == "!":
            pilot.app.clear_notifications()
        else:
            await pilot.press(key)
        await settle(pilot)
