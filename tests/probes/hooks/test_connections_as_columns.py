"""Many connections as columns are the rows that few connections would be, one by one."""

from __future__ import annotations

import gc
import random
import socket
import struct
import sys
from contextlib import ExitStack
from dataclasses import replace

import pytest

from probes.columns.row_table import RowTable
from probes.hooks import catalogue
from probes.hooks.tcp_rtt import hook, open_sockets
from probes.hooks.tcp_rtt.callback_rows import CallbackRows
from probes.hooks.tcp_rtt.open_sockets import OpenSockets
from probes.kernel import procfs
from probes.kernel.procfs import Owner, SocketOwners
from probes.model import Opening, Row, Value
from tests.support.odd_values import OddTable, attached

SOCKET = struct.Struct("=24s24sIIIII4xQQ")
NO_SAMPLE = 2**32 - 1


class Known(OddTable):
    """A map whose keys are the cookies of sockets, and whose values are any."""

    def _all(self) -> tuple[bytes, bytes]:
        keys = self._dice.sample(range(1, 400), 200)
        values = b"".join(self._some(self._stride) for _ in keys)
        return b"".join(key.to_bytes(8, sys.byteorder) for key in keys), values


def _written(dice: random.Random, *, of_link: bool, twice: bool) -> bytes:
    def end() -> bytes:
        if of_link and dice.random() < 0.1:
            return bytes.fromhex("fe80") + dice.randbytes(14) + bytes(8)
        return bytes(10) + b"\xff\xff" + dice.randbytes(4) + bytes(8)

    cookies = dice.sample(range(1, 400), 250)
    cookies += cookies[:3] if twice else []
    return b"".join(
        SOCKET.pack(
            end(), end(), dice.randrange(1 << 16), dice.randrange(1 << 16),
            dice.randrange(1 << 20), dice.choice((0, NO_SAMPLE, 7)), dice.randrange(9),
            cookie, dice.randrange(30),
        )
        for cookie in cookies
    )  # fmt: skip


def _read(seed: int, rung: str, **how: bool) -> list[list[Row]]:
    rtt, dice = catalogue()["tcp-rtt"], random.Random(seed)
    found = rtt.rung(rung)
    assert found is not None
    data = [_written(dice, **how) for _ in range(3)]

    def open(opening: Opening):  # type: ignore[no-untyped-def]
        told = iter(data)
        return found.open(replace(opening, iterators={"iterated": lambda: next(told)}))

    made = attached(rtt, replace(found, open=open), dice, lambda about: Known(about, dice))
    try:
        made.read()  # by sock_diag
        return [list(made.read().rows.values()) for _ in data]
    finally:
        made.detach()


def _owners(_: SocketOwners, inodes: set[int]) -> dict[int, Owner]:
    return {i: Owner(i // 3, f"w{i % 4}") for i in inodes if i > 9}


@pytest.fixture(autouse=True)
def always_iterated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_sockets, "MANY", 0)
    monkeypatch.setattr(procfs, "tcp_sockets_in_use", lambda: -1)  # the first reading is of few
    monkeypatch.setattr(hook, "FEW", 0)
    monkeypatch.setattr(
        SocketOwners,
        "find",
        lambda _, inodes: {i: Owner(i // 3, f"w{i % 4}") for i in inodes if i > 9},
    )


@pytest.mark.parametrize("rung", ["sock_ops-link", "btf-tracepoint"])
@pytest.mark.parametrize("of_link", [False, True])
@pytest.mark.parametrize("twice", [False, True])
def test_columns_are_the_same_rows(
    rung: str, of_link: bool, twice: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = _read(3, rung, of_link=of_link, twice=twice)
    monkeypatch.setattr(OpenSockets, "many", None)
    rows = _read(3, rung, of_link=of_link, twice=twice)
    assert len(rows[0]) > 250
    assert made == rows
    assert repr(made) == repr(rows), "types as well"


def test_they_are_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = []
    monkeypatch.setattr(RowTable, "values", lambda table: kinds.append(table) or ())
    _read(1, "sock_ops-link", of_link=False, twice=False)
    assert len(kinds) == 3


@pytest.mark.parametrize("rung", ["sock_diag", "btf-tracepoint"])
def test_what_sock_diag_tells_of_many_is_what_it_tells_one_by_one(
    rung: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of connections of our own: 30 pairs that do nothing."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("::1", 0), family=socket.AF_INET6))
        port = listener.getsockname()[1]
        for _ in range(30):
            stack.enter_context(socket.create_connection(("::1", port)))
            stack.enter_context(listener.accept()[0])

        def read() -> dict[Value, Row]:
            rtt = catalogue()["tcp-rtt"]
            found = rtt.rung(rung)
            assert found is not None
            bare = replace(found, open=lambda o: found.open(replace(o, iterators={})))
            dice = random.Random(5)
            made = attached(rtt, bare, dice, lambda about: Known(about, dice, 0))
            try:
                made.read()
                rows = made.read().rows
            finally:
                made.detach()
            names = [c.name for c in rtt.stored]
            local, remote = names.index("lport"), names.index("rport")
            return {row[0]: row for row in rows.values() if port in (row[local], row[remote])}

        many = read()
        monkeypatch.setattr(open_sockets, "tcp_table", lambda _: None)
        assert many == read()
    assert len(many) == 60


def test_what_was_made_row_by_row_is_let_go_when_columns_take_over() -> None:
    """Thousands of rows and their entries are 20 MB."""
    rtt = catalogue()["tcp-rtt"]
    found = rtt.rung("sock_ops-iter")
    assert found is not None
    attachment = attached(
        rtt, found, random.Random(1), lambda about: Growing(about, random.Random(1))
    )
    try:
        for _ in range(5):
            attachment.read()
        kept = [one for one in gc.get_objects() if isinstance(one, CallbackRows)]
        assert kept
        assert not any(one.rows({}) for one in kept)
    finally:
        attachment.detach()


class Growing(Known):
    """A map with few entries, and then so many that they are made as columns."""

    _number = open_sockets.MANY // 4

    def _all(self) -> tuple[bytes, bytes]:
        keys = range(1, 1 + self._number)
        self._number *= 2
        values = b"".join(self._some(self._stride) for _ in keys)
        return b"".join(key.to_bytes(8, sys.byteorder) for key in keys), values
