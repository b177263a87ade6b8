"""The bound on memory: what is beyond it is left out, and how much is said."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.commands import ebpftop
from tests.support.namespaces import namespace, run

pytestmark = [pytest.mark.kernel, pytest.mark.anywhere]
PAIRS = 600


@pytest.fixture
def _connections() -> Iterator[None]:
    with namespace(), ExitStack() as stack:
        run("ip", "link", "set", "lo", "up")
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=PAIRS))
        for _ in range(PAIRS):
            stack.enter_context(socket.create_connection(listener.getsockname()))
            stack.enter_context(listener.accept()[0])
        yield


@pytest.mark.usefixtures("_connections")
def test_connections_beyond_it_are_counted_as_left_out() -> None:
    """The least bound keeps 500 rows in all."""
    asked = ("once", "--for", "0.5", "--hook", "tcp-rtt", "--memory", "100")
    (hook,) = json.loads(ebpftop(*asked, "--json").stdout)["hooks"]
    assert len(hook["rows"]) <= 500
    assert len(hook["rows"]) + hook["forgotten"] >= 2 * PAIRS
    assert "more rows were left out: the least active (--memory)" in ebpftop(*asked).stdout


@pytest.mark.usefixtures("_connections")
def test_within_it_nothing_is_left_out() -> None:
    done = ebpftop("once", "--for", "0.5", "--hook", "tcp-rtt", "--json")
    (hook,) = json.loads(done.stdout)["hooks"]
    assert hook["forgotten"] == 0
    assert len(hook["rows"]) >= 2 * PAIRS


@pytest.mark.parametrize("wrong", ["50", "much", "-1", "1e3", "", "200 GB"])
def test_a_bound_that_is_none_is_a_usage_error(wrong: str) -> None:
    done = ebpftop("once", "--memory", wrong)
    assert done.returncode == 2
    assert "is no bound on memory: write megabytes, from 100 on, as 200" in done.stderr
