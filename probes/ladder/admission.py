"""Rungs that are not tried: the user has not asked for them, or their attach point is taken."""

from __future__ import annotations

from collections.abc import Collection

from probes.errors import Busy, Denied
from probes.ladder import features
from probes.model import Hook, Reach, Rung


def check(
    hook: Hook,
    rung: Rung,
    ifindex: int,
    taken: Collection[str],
    *,
    asked: bool,
    pinned: bool,
    observe_only: bool,
) -> None:
    """Raise the refusal of a rung that is not to be tried at all. taken: seats of others."""
    if rung.passive:
        return
    in_path = hook.reach_of(rung) is Reach.DATA_PATH
    if observe_only and (rung.lasting or in_path):
        raise Denied("--observe-only: nothing is attached in a data path")
    if hook.only_pinned(rung) and not pinned:
        raise Denied(
            "it would run in the data path, so it is attached only when named",
            remedy=f"Pin it: --rung {hook.name}={rung.name}.",
        )
    if rung.lasting and not asked:
        raise Denied(
            "it would outlive this process, so it is attached only when asked for",
            remedy="Attach it by key, or with --attach.",
        )
    if not seats(rung).isdisjoint(taken):
        raise Busy("another program is attached there, and stays")
    if (veto := features.veto(rung, ifindex)) is not None:
        raise veto


def seats(rung: Rung) -> set[str]:
    """Return the places that only one program can take, among those the rung wants."""
    return {p.point.seat for p in rung.programs if p.point.seat}
