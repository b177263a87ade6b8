"""Words of rows and details are explained from the data that judge them."""

from __future__ import annotations

from probes.analysis.destinations import HOW, NO_ANSWER
from probes.analysis.glossary import glossary
from probes.hooks import catalogue

HOOKS = catalogue()


def test_reasons_and_errnos_have_a_sentence() -> None:
    found = dict(glossary("1.2k/s SOCKET_RCVBUFF udp:514; connect fails with ECONNREFUSED", ()))
    assert found["SOCKET_RCVBUFF"] == "drop reason: The receive buffer of the socket was full."
    assert found["ECONNREFUSED"].startswith("errno 111, Connection refused")
    assert len(found) == 2


def test_a_rung_is_one_of_the_hooks_that_may_be_meant() -> None:
    hook = HOOKS["tcp-connect"]
    ((rung, said),) = glossary("tcp-connect on btf-tracepoint", (hook,))
    place = [rung.name for rung in hook.ladder].index("btf-tracepoint") + 1
    assert (rung, said.split(";")[0]) == (
        "btf-tracepoint", f"rung {place} of {len(hook.ladder)} of tcp-connect",
    )  # fmt: skip
    assert not glossary("tcp-connect on btf-tracepoint", ())


def test_how_connects_end_is_explained_where_they_are_shown() -> None:
    text = "10.0.0.5:5432 timed out 74%"
    assert [word for word, _ in glossary(text, (HOOKS["tcp-connect"],))] == ["timed out"]
    assert not glossary(text, (HOOKS["opens"],))
    explained = dict(glossary(" ".join((*HOW.values(), NO_ANSWER)), (HOOKS["tcp-connect"],)))
    assert set(HOW.values()) - {HOW["other"]} | {NO_ANSWER} == set(explained)


def test_what_is_not_known_is_left_out() -> None:
    assert glossary("TCP RX LONDON_BRIDGE E2E", HOOKS.values()) == []
