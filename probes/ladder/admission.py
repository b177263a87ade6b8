"""Which rungs are not even tried: a person's word is missing, or the seat is taken."""

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
            "it would sit in the data path, so it is taken only where a person names it",
            remedy=f"Pin it: --rung {hook.name}={rung.name}.",
        )
    if rung.lasting and not asked:
        raise Denied(
            "it would outlive this process, so it is taken on a person's word only",
            remedy="Attach it by key, or with --attach.",
        )
    if not seats(rung).isdisjoint(taken):
        raise Busy("the same seat is taken; nobody is replaced")
    if (veto := features.veto(rung, ifindex)) is not None:
        raise veto


def seats(rung: Rung) -> set[str]:
    """The places that only one program can take, among those the rung wants."""
    return {p.point.seat for p in rung.programs if p.point.seat}
