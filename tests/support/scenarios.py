"""What tests of rungs share: readings by column, and events whose rows are known beforehand."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from probes.ladder.attachment import Attachment
from probes.model import Sample, State
from tests.support.events import (
    HOLE,
    NO_ROUTE,
    black_hole,
    connect,
    connect_into_hole,
    server,
    time_out,
)

Values = dict[str, Any]


def sample_of(attachment: Attachment) -> Sample:
    """A reading of something that stands."""
    sample = attachment.read()
    assert sample.status.state in (State.ATTACHED, State.PASSIVE), sample.status
    return sample


def rows_of(attachment: Attachment, sample: Sample) -> list[Values]:
    """The rows of a reading, by column."""
    names = [c.name for c in attachment.hook.stored]
    return [dict(zip(names, row, strict=True)) for row in sample.rows.values()]


def values(attachment: Attachment) -> list[Values]:
    """The rows of a new reading, by column."""
    return rows_of(attachment, sample_of(attachment))


def log_of(attachment: Attachment, sample: Sample) -> list[Values]:
    """The log of a reading, by column."""
    names = [c.name for c in attachment.hook.log]
    return [dict(zip(names, entry, strict=True)) for entry in sample.log]


def find(rows: list[Values], **wanted: object) -> Values:
    """The one row that has these values."""
    found = [r for r in rows if all(r[k] == v for k, v in wanted.items())]
    assert len(found) == 1, f"{wanted} in {rows}"
    return found[0]


class Connects:
    """Connects to the same addresses and ports again and again, with every end there is."""

    PENDING, GIVEN_UP, TIMED_OUT, NOWHERE = 91, 92, 93, 94
    LISTENING = {"127.0.0.1": 95, "::1": 96}
    CLOSED = {"127.0.0.1": 97, "::1": 98}

    @classmethod
    @contextmanager
    def ready(cls) -> Iterator[Connects]:
        """Servers on both families, and a network that leads nowhere. In a namespace of its own."""
        black_hole()
        with ExitStack() as stack:
            for host, port in cls.LISTENING.items():
                stack.enter_context(server(host, port))
            yield cls()

    def cause(self, attachment: Attachment) -> tuple[list[Values], list[Values]]:
        """Makes them all; their rows and log entries."""
        attachment.read()  # what was logged before is not ours
        for number, (host, port) in enumerate(self.LISTENING.items(), 5):
            assert connect(host, port, number) == 0
        for number, (host, port) in enumerate(self.CLOSED.items(), 3):
            assert connect(host, port, number) == number
        pending = connect_into_hole(self.PENDING)
        connect_into_hole(self.GIVEN_UP).close()
        time_out(self.TIMED_OUT)
        assert connect(NO_ROUTE, self.NOWHERE, 2) == 2
        if attachment.status.rung == "sock_ops":  # an attempt without a SYN: settled a second later
            time.sleep(1.1)
        log = self._logged(attachment)
        sample = sample_of(attachment)
        pending.close()
        log += log_of(attachment, sample)
        return self._mine(rows_of(attachment, sample)), self._mine(log)

    def _logged(self, attachment: Attachment) -> list[Values]:
        """The log until it has the time-out, whose caller may wake before it is settled."""
        log: list[Values] = []
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and self.TIMED_OUT not in {e["rport"] for e in log}:
            log += log_of(attachment, sample_of(attachment))
        return log

    def _mine(self, found: list[Values]) -> list[Values]:
        ends = self.expected()
        return [v for v in found if v["pid"] == os.getpid() and (v["raddr"], v["rport"]) in ends]

    def expected(self) -> dict[tuple[str, int], Values]:
        """Counters that are not zero, by address and port."""
        rows = {
            (HOLE, self.PENDING): {"connects": 1, "pending": 1},
            (HOLE, self.GIVEN_UP): {"connects": 1, "failed": 1, "gave_up": 1},
            (HOLE, self.TIMED_OUT): {"connects": 1, "failed": 1, "timed_out": 1},
            (NO_ROUTE, self.NOWHERE): {"connects": 2, "failed": 2, "unreachable": 2},
        }
        for number, end in enumerate(self.LISTENING.items(), 5):
            rows[end] = {"connects": number, "established": number}
        for number, end in enumerate(self.CLOSED.items(), 3):
            rows[end] = {"connects": number, "failed": number, "refused": number}
        return rows
