"""Which capabilities are still of use, once all is attached."""

from __future__ import annotations

from collections.abc import Iterable

from probes.kernel import privilege
from probes.ladder.attachment import Attachment
from probes.model import State


def capabilities(
    attachments: Iterable[Attachment], *, follows: bool, rules: bool, budget: bool
) -> frozenset[int]:
    """To read and to detach what stands, and to attach to interfaces that come.

    follows: hooks are attached to such. rules: packets are dropped. budget: what is cut for it is
    attached again.
    """
    needed = {privilege.BPF}
    attaching = {privilege.NET_ADMIN, privilege.PERFMON}
    if follows or rules:
        needed |= attaching
    if rules:
        needed |= {*privilege.PROCESSES}  # whose connections no rule may match
    for attachment in attachments:
        if budget and attachment.status.state is State.ATTACHED:
            needed |= attaching
        rung = attachment.hook.rung(attachment.status.rung or "")
        if rung is not None:
            reads_with = attachment.hook.reads_with
            needed |= privilege.USED if reads_with is None else {*reads_with}
            needed |= {privilege.NET_ADMIN} if rung.lasting else set()
    return frozenset(needed)
