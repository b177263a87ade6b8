"""The funnel of what happens between two readings, from the best rung of each hook."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from probes.analysis.funnel import Stage, funnel
from probes.analysis.snapshot import Snapshot
from probes.hooks import catalogue
from probes.ladder.attachment import Attachment, Modules
from probes.model import HookId, Sample, State
from tests.support.scenarios import Values, values

HOOKS = ("interfaces", "drops", "qdiscs")
Lost = dict[str, int]


class Watch:
    """What the hooks told before; `funnel` is what has come since."""

    def __init__(self, attachments: list[Attachment]) -> None:
        self._attachments = attachments
        self._before = {a.status.id: a.read() for a in attachments}

    @property
    def reasons(self) -> bool:
        return not any("no-reason" in str(a.status.rung) for a in self._attachments)

    def funnel(self, interface: str) -> tuple[Stage, ...]:
        snapshots = {}
        for attachment in self._attachments:
            sample = attachment.read()
            snapshots[attachment.hook.name] = (
                Snapshot.between(attachment.hook, self._before[attachment.status.id], sample),
            )
        since: dict[HookId, Sample] = self._before
        stages = funnel(snapshots, interface, since)
        for stage in stages:
            self._adds_up(stage, snapshots)
        return stages

    @staticmethod
    def _adds_up(stage: Stage, snapshots: dict[str, tuple[Snapshot]]) -> None:
        """A second's share is what was lost since the reading before; it was caused by somebody."""
        assert stage.lost is not None, stage
        intervals = [s.interval for (s,) in snapshots.values() if s.interval]
        assert stage.lost.per_s is not None
        shares = [stage.lost.per_s * interval for interval in intervals]
        assert min(shares) - 0.5 <= stage.lost.total <= max(shares) + 0.5, stage
        assert sum(c.lost.total for c in stage.causes) == stage.lost.total, stage
        if stage.came is not None and stage.name != "stack":
            assert stage.came.total >= stage.lost.total, stage

    def rows(self, hook: str) -> list[Values]:
        """What a hook tells now."""
        return values(next(a for a in self._attachments if a.hook.name == hook))

    def lost(self, interface: str) -> Lost:
        """What was lost by stage, where anything was."""
        stages = self.funnel(interface)
        return {s.name: s.lost.total for s in stages if s.lost is not None and s.lost.total}


@contextmanager
def watching(modules: Modules, *more: str) -> Iterator[Watch]:
    """What interfaces, drops, qdiscs and more hooks tell from now on."""
    attachments = []
    with ExitStack() as stack:
        for name in (*HOOKS, *more):
            id = HookId.parse(name)
            index = socket.if_nametoindex(id.target) if id.target else 0
            attachments.append(Attachment(catalogue()[id.hook], modules, id, index))
            stack.callback(attachments[-1].detach)
            status = attachments[-1].climb(asked=name in more)
            assert status.state in (State.ATTACHED, State.PASSIVE), status
        yield Watch(attachments)
