"""What claims say of connections: the peer, its port, and the process that holds them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from heapq import nlargest
from typing import TypeVar

from probes.analysis.cases.claim import Who
from probes.analysis.facts import Facts
from probes.analysis.many import rows_of
from probes.analysis.many_rows import ManyRows
from probes.analysis.snapshot_row import SnapshotRow
from probes.arrays import np
from probes.columns.lexicon import Lexicon
from probes.columns.vocabulary import Words

K = TypeVar("K", bound=Hashable)
HOOK = "tcp-rtt"
NAMED = 8
"""Connections of a claim whose processes and ends are named."""
LOOKED_AT = 256
"""Slow connections, and such as send again, that are looked at one by one."""
LEXICON = Lexicon()


def place_of(facts: Facts, key: Hashable) -> int | None:
    """Return where a connection's row is; None: it is gone."""
    rows = rows_of(facts, HOOK)
    if isinstance(rows, ManyRows):
        return rows.place(key)
    return next((n for n, row in enumerate(rows) if row.key == key), None)


def named(peer: str, rows: Sequence[SnapshotRow]) -> str:
    """Return the peer, with its port if all are to the same."""
    port = port_of(rows)
    if port is None:
        return peer
    return f"[{peer}]:{port}" if ":" in peer else f"{peer}:{port}"


def port_of(rows: Sequence[SnapshotRow]) -> int | None:
    """Return the peer's port, where it is a service's and the same of all."""
    ports = {row["rport"] for row in rows if row.number("rport") < row.number("lport")}
    port = next(iter(ports), None)
    return port if len(ports) == 1 and isinstance(port, int) else None


def holders(rows: Sequence[SnapshotRow], rate: Callable[[SnapshotRow], float]) -> tuple[Who, ...]:
    """Return the processes that hold these connections, each once, with the most first."""
    known = [row for row in rows if row["comm"] is not None]
    parts = sums_of(((row["comm"], row["pid"]), rate(row)) for row in known)
    most = nlargest(NAMED, parts.items(), key=lambda part: part[1])
    return tuple(
        [
            Who(str(comm), pid if isinstance(pid, int) and pid else None, rate=n)
            for (comm, pid), n in most
        ]
    )


def sums_of(parts: Iterable[tuple[K, float]]) -> dict[K, float]:
    """Return the sum of each key's parts."""
    sums: dict[K, float] = {}
    for key, part in parts:
        sums[key] = sums.get(key, 0.0) + part
    return sums


def ties_of(rows: Sequence[SnapshotRow], peer: str, *, path: bool) -> frozenset[Hashable]:
    """Return what claims of the same way have in common, told from either of its ends."""
    if not path or peer == "::1" or peer.startswith("127."):
        return frozenset()
    ways = {("way", *sorted((str(row["laddr"]), peer))) for row in rows[:NAMED]}
    return frozenset({("peer", peer), *ways})


def word_of(words: Words, text: str) -> int:
    """Return a text's place; -1 if it is not there."""
    (place,) = np.flatnonzero(words.texts == text)[:1].tolist() or [-1]
    return int(place)
