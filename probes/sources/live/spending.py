"""CPU use of each attachment's programs; slowing and detaching them as `budget` decides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from probes.ladder.attachment import Attachment
from probes.model import HookId
from probes.sources.live import budget
from probes.sources.live.budget import BudgetRetry, Cutback, Spending

Costs = Mapping[Attachment, tuple[int, int, float]]
"""For each attachment its epoch, the nanoseconds that its programs ran in it, and when that was."""


def costs(attachments: Iterable[Attachment]) -> Costs:
    """Return the costs, without what cannot be read at the moment.

    It is tried again in the next window.
    """
    found = {}
    for attachment in attachments:
        try:
            spent = attachment.spent(budget.WINDOW / 2)
        except OSError:
            continue
        if spent is not None:
            found[attachment] = attachment.epoch, *spent
    return found


def between(before: Costs, after: Costs) -> Iterable[Spending]:
    """Return the use of what was on the same rung all the time; the rest is measured next time."""
    for attachment, (epoch, ns, time) in after.items():
        epoch_then, ns_then, then = before.get(attachment, (0, 0, 0.0))
        if epoch == epoch_then and ns >= ns_then and time > then:
            status = attachment.status
            percent = (ns - ns_then) / (time - then) / 1e7
            yield Spending(status.id, percent, status.one_in, attachment.samples, attachment.kept)


def cut(attachments: Iterable[Attachment]) -> set[HookId]:
    """Return what the budget has slowed or detached, and nobody attached again."""
    return {a.status.id for a in attachments if a.cut and not a.kept}


def carry_out(done: Cutback | BudgetRetry, attachments: Iterable[Attachment]) -> list[str]:
    """Slow, detach or try again; return what was cut, in a sentence for each."""
    said = []
    for attachment in attachments:
        if attachment.status.id != done.id or attachment.kept:
            continue
        if isinstance(done, BudgetRetry):
            if attachment.cut:
                attachment.slow(done.one_in, done.why)
            continue
        if done.one_in is None:
            attachment.cut_off(done.why)
        else:
            attachment.slow(done.one_in, done.why)
        if attachment.cut:
            said.append(f"{done.id}: {done.why}")
    return said
