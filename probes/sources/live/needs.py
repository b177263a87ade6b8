"""Capabilities that are still needed once everything is attached."""

from __future__ import annotations

from collections.abc import Iterable

from probes.kernel import capabilities
from probes.ladder.attachment import Attachment
from probes.model import State


def still_needed(
    attachments: Iterable[Attachment], *, follows: bool, rules: bool, budget: bool
) -> frozenset[int]:
    """Return those needed to read and detach what is attached, and to attach to new interfaces.

    follows: hooks are attached to new interfaces. rules: packets are dropped. budget: what is cut
    for it is attached again.
    """
    needed = {capabilities.BPF}
    attaching = {capabilities.NET_ADMIN, capabilities.PERFMON}
    if follows or rules:
        needed |= attaching
    if rules:
        needed |= {*capabilities.PROCESSES}  # whose connections no rule may match
    for attachment in attachments:
        if budget and attachment.status.state is State.ATTACHED:
            needed |= attaching
        rung = attachment.hook.rung(attachment.status.rung or "")
        if rung is not None:
            own = rung.reads_with
            reads_with = own if own is not None else attachment.hook.reads_with
            needed |= capabilities.USED if reads_with is None else {*reads_with}
            needed |= {capabilities.NET_ADMIN} if rung.lasting else set()
    return frozenset(needed)
