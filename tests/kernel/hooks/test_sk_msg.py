"""Messages of a socket go to one program: the second to ask is told so."""

from __future__ import annotations

import socket

import pytest

from probes.compile.compiler import Compiler
from probes.hooks import catalogue
from probes.ladder.attachment import Modules
from tests.support.events import exchange, server
from tests.support.namespaces import namespace
from tests.support.rungs import await_messages, standing
from tests.support.scenarios import rows_of, sample_of

pytestmark = pytest.mark.kernel
HOOK = catalogue()["sk-msg"]


@pytest.mark.parametrize("rung", [rung.name for rung in HOOK.ladder])
def test_the_second_is_told_that_the_first_has_the_messages(
    modules: Modules, of_hooks: Compiler, rung: str
) -> None:
    """Its rows cannot have them; it stands all the same."""
    await_messages()
    with (
        standing(modules, HOOK, rung=rung) as first,
        standing(Modules(of_hooks), HOOK, rung=rung) as second,
        namespace(),
        server("127.0.0.1") as port,
    ):
        before = sample_of(second)
        # Others on this host may have connected meanwhile.
        assert before.lost or "another program" not in before.status.note
        with socket.create_connection(("127.0.0.1", port)) as talking:
            exchange(talking, 10)
        assert [r for r in rows_of(first, sample_of(first)) if r["rport"] == port]
        sample = sample_of(second)
        assert not [r for r in rows_of(second, sample) if r["rport"] == port]
    assert sample.lost >= before.lost + 2, "both ends"
    assert "messages another program has (a second ebpftop, or a proxy)" in sample.status.note
