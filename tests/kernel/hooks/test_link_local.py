"""A link-local address has its link as part of it: on each rung, here and in other namespaces."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from probes.hooks import catalogue
from probes.kernel import procfs
from probes.ladder.attachment import Attachment, Modules
from tests.support.link_local import ADDRESS, DATAGRAMS, LINKS, REFUSED, Talker, talker
from tests.support.namespaces import namespace
from tests.support.rungs import await_messages, standing
from tests.support.scenarios import log_of, sample_of, values

pytestmark = pytest.mark.kernel

BESIDE = pytest.mark.parametrize("beside", [False, True], ids=["here", "beside"])


def _rungs(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("rung", [rung.name for rung in catalogue()[name].ladder])


class _Placed:
    """talker: the process. of: its address on each of the links, as it is called here."""

    def __init__(self, talker: Talker, *, beside: bool) -> None:
        self.talker, netns = talker, procfs.netns()
        index = {link: socket.if_nametoindex(link) for link in LINKS}
        self.of = {
            link: f"{ADDRESS}%if{index[link]} (netns {netns})" if beside else f"{ADDRESS}%{link}"
            for link in LINKS
        }
        self.unknown = f"{ADDRESS}%?"


@contextmanager
def _placed(*, beside: bool) -> Iterator[_Placed]:
    with ExitStack() as stack:
        stack.enter_context(namespace())
        placed = _Placed(stack.enter_context(talker()), beside=beside)
        if beside:
            stack.enter_context(namespace())
        yield placed


@contextmanager
def _attached(modules: Modules, name: str, rung: str, *, beside: bool) -> Iterator[Attachment]:
    if beside and rung == "sock_diag":
        pytest.skip("sock_diag is of one namespace")
    with standing(modules, name, rung=rung) as attachment:
        yield attachment


@BESIDE
@_rungs("tcp-connect")
def test_connects(modules: Modules, rung: str, *, beside: bool) -> None:
    with (
        _placed(beside=beside) as placed,
        _attached(modules, "tcp-connect", rung, beside=beside) as attachment,
    ):
        attachment.read()
        placed.talker.step()
        rows = [r for r in values(attachment) if r["pid"] == placed.talker.pid]
    counted = ("connects", "established", "refused")
    found = {(r["raddr"], r["rport"]): tuple(r[name] or 0 for name in counted) for r in rows}
    expected = {(placed.of[link], placed.talker.port): (n, n, 0) for link, n in LINKS.items()}
    if rung != "sock_diag":  # which sees what is there when it looks
        expected[placed.of["w0"], placed.talker.closed] = REFUSED, 0, REFUSED
    assert found == expected


@BESIDE
@_rungs("tcp-rtt")
def test_round_trips(modules: Modules, rung: str, *, beside: bool) -> None:
    with (
        _placed(beside=beside) as placed,
        _attached(modules, "tcp-rtt", rung, beside=beside) as attachment,
    ):
        placed.talker.step()
        rows = values(attachment)
        placed.talker.step()
    ends = [r[end] for r in rows for end in ("laddr", "raddr") if placed.talker.port in (
        r["lport"], r["rport"])]  # fmt: skip
    if beside and rung == "tracepoint":  # its record has no socket
        assert set(ends) == {placed.unknown}
    else:
        assert Counter(ends) == {placed.of[link]: 4 * n for link, n in LINKS.items()}


@BESIDE
@_rungs("tcp-life")
def test_lives(modules: Modules, rung: str, *, beside: bool) -> None:
    if rung == "sock_diag":
        pytest.skip("it has no log")
    with (
        _placed(beside=beside) as placed,
        _attached(modules, "tcp-life", rung, beside=beside) as attachment,
    ):
        placed.talker.step()
        placed.talker.step()
        log = log_of(attachment, sample_of(attachment))
    ends = [e[end] for e in log for end in ("laddr", "raddr") if placed.talker.port in (
        e["lport"], e["rport"])]  # fmt: skip
    assert Counter(ends) == {placed.of[link]: 4 * n for link, n in LINKS.items()}


@BESIDE
@_rungs("sk-msg")
def test_messages(modules: Modules, rung: str, *, beside: bool) -> None:
    await_messages()
    with (
        _placed(beside=beside) as placed,
        _attached(modules, "sk-msg", rung, beside=beside) as attachment,
    ):
        placed.talker.step()
        rows = values(attachment)
        placed.talker.step()
    sent: Counter[str] = Counter()
    for row in rows:
        if placed.talker.port not in (row["lport"], row["rport"]):
            continue  # somebody else's
        assert row["laddr"] == row["raddr"]
        sent[row["raddr"]] += row["messages"]
    assert sent == {placed.of[link]: 2 * n for link, n in LINKS.items()}


@BESIDE
@_rungs("sock-addr")
def test_addresses(modules: Modules, rung: str, *, beside: bool) -> None:
    """Programs at cgroups are not told the link: it is in what the process asked for."""
    with (
        _placed(beside=beside) as placed,
        _attached(modules, "sock-addr", rung, beside=beside) as attachment,
    ):
        placed.talker.step()
        rows = [r for r in values(attachment) if r["pid"] == placed.talker.pid]
    calls: Counter[tuple[str, str, int]] = Counter()
    for r in rows:
        if r["operation"] == "getpeername":
            assert r["address"] in placed.of.values()
        elif r["address"].startswith(ADDRESS):
            calls[r["operation"], r["address"], r["port"]] += r["calls"]
    port, closed = placed.talker.port, placed.talker.closed
    expected: Counter[tuple[str, str, int]] = Counter()
    of = placed.of
    for link, n in LINKS.items():
        expected["connect", of[link], port] += n
    if rung != "sock_diag":
        expected["connect", of["w0"], closed] += REFUSED
        expected["sendmsg", of["w0"], closed] += DATAGRAMS
    assert calls == expected
