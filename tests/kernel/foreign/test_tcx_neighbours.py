"""Programs of ours around others in TCX chains: exact, whoever comes later, in nobody's way.

What drops, redirects or accepts in between is not told apart, so what it "ended" is all of that.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from probes.attach import tcx
from probes.foreign import tcx_neighbours
from probes.hooks import catalogue
from probes.kernel import bpf
from probes.ladder.attachment import Attachment, Modules
from probes.model import State
from probes.point import AttachType
from tests.support.commands import held, left_of, running
from tests.support.foreign import Somebody, somebody
from tests.support.namespaces import FRAME, bpftool, namespace, send, veth
from tests.support.scenarios import Values, find, values

pytestmark = pytest.mark.kernel

NEXT, ACCEPT, SHOT, REDIRECT = 255, 0, 2, 7
BEFORE, AFTER, BY_ID = 1 << 3, 1 << 4, 1 << 5
N = 25


@pytest.fixture(autouse=True)
def _tcx() -> None:
    if (missing := tcx.missing()) is not None:
        pytest.skip(f"{missing.code}: {missing.why}")


@pytest.fixture
def who(tmp_path: Path) -> Iterator[Somebody]:
    with namespace(), somebody(tmp_path) as them:
        yield them


@pytest.fixture
def follow(modules: Modules, keep: Callable[[str], None]) -> Iterator[Callable[[], Attachment]]:
    """The hook tc-programs on the rung in question, also where there are better ones."""
    attachment = Attachment(catalogue()["tc-programs"], modules)

    def follow() -> Attachment:
        status = attachment.climb(pinned=tcx_neighbours.AROUND)
        assert (status.state, status.rung) == (State.ATTACHED, tcx_neighbours.AROUND), status
        rung = attachment.hook.rung(tcx_neighbours.AROUND)
        assert rung is not None
        keep(rung.source_for(None))
        return attachment

    yield follow
    attachment.detach()


def answered(device: str, **frames: int) -> None:
    """So many frames for each answer."""
    for name, n in frames.items():
        byte = {"next": NEXT, "accept": ACCEPT, "shot": SHOT, "redirect": REDIRECT}[name]
        send(device, n, FRAME[:14] + bytes([byte]) + FRAME[15:])


def told(attachment: Attachment) -> list[tuple[Any, ...]]:
    """By direction and place in the chain: program, packets, and what ended there."""
    rows = sorted(values(attachment), key=lambda r: (r["direction"], r["position"]))
    assert {row["seen"] for row in rows} <= {tcx_neighbours.AROUND}, rows
    return [(row["program_id"], row["packets"], row["ended"]) for row in rows]


def test_both_directions_are_told_apart_also_of_one_program(
    who: Somebody, follow: Callable[[], Attachment], record_property: Callable[[str, object], None]
) -> None:
    index, _ = veth()
    both = who.load("tc by byte", "acme_both")
    for direction in ("egress", "ingress"):
        who.put(both, index, direction)
    attachment = follow()
    answered("v0", next=3, shot=N)
    answered("v1", next=4, redirect=2, accept=1)
    assert told(attachment) == [(both, N + 3, N), (both, 7, 3)]
    ingress = find(values(attachment), direction="ingress")
    assert (ingress["bytes"], ingress["drop"], ingress["pass"]) == (7 * len(FRAME), None, None)
    record_property("count", N + 10)


def test_who_comes_later_is_followed_wherever_in_the_chain(
    who: Somebody, follow: Callable[[], Attachment]
) -> None:
    """Before all and behind all: ours are around each, and what was counted stays."""
    index, _ = veth()
    first = who.load("tc by byte", "acme_first")
    who.put(first, index, "ingress")
    attachment = follow()
    answered("v1", next=5, shot=2)
    assert told(attachment) == [(first, 7, 2)]
    head, tail = (who.load("tc by byte", f"acme_{name}") for name in ("head", "tail"))
    who.put(head, index, "ingress", flags=BEFORE)
    who.put(tail, index, "ingress", flags=AFTER)
    assert told(attachment) == [(head, 0, 0), (first, 7, 2), (tail, 0, 0)]
    answered("v1", next=5, shot=4)
    assert told(attachment) == [(head, 9, 4), (first, 12, 2), (tail, 5, 0)]


def test_who_comes_between_ours_and_another_is_not_taken_for_that_one(
    who: Somebody, follow: Callable[[], Attachment]
) -> None:
    """Ours are placed anew; what came meanwhile is counted for nobody, and that is said."""
    index, _ = veth()
    first = who.load("tc by byte", "acme_first")
    who.put(first, index, "ingress")
    attachment = follow()
    answered("v1", next=5, shot=2)
    assert told(attachment) == [(first, 7, 2)]
    between = who.load("tc by byte", "acme_between")
    link = who.put(between, index, "ingress", flags=BEFORE | BY_ID, beside=first)
    answered("v1", next=1, shot=6)  # it drops these, between ours and the first
    assert told(attachment) == [(between, 0, 0), (first, 7, 2)]
    answered("v1", next=3, shot=8)
    assert told(attachment) == [(between, 11, 8), (first, 10, 2)]
    assert "not counted for a moment" in find(values(attachment), program_id=first)["why"]
    who.ask("unlink", link)
    answered("v1", shot=1)
    assert told(attachment) == [(first, 11, 3)]


def test_what_comes_in_the_place_of_another_begins_at_zero(
    who: Somebody, follow: Callable[[], Attachment]
) -> None:
    index, _ = veth()
    first, second = (who.load("tc by byte", f"acme_{n}") for n in ("first", "second"))
    link = who.put(first, index, "ingress")
    attachment = follow()
    answered("v1", shot=2)
    assert told(attachment) == [(first, 2, 2)]
    who.ask("replace", link, second)
    assert told(attachment) == [(second, 0, 0)]
    answered("v1", shot=3, next=1)
    assert told(attachment) == [(second, 4, 3)]


def test_ours_are_not_put_there_again_by_themselves(
    who: Somebody, follow: Callable[[], Attachment]
) -> None:
    """Nobody is fought: what somebody takes away stays away, and runs are counted instead."""
    index, _ = veth()
    program = who.load("tc by byte", "acme_tc")
    who.put(program, index, "ingress")
    attachment = follow()
    (mine,) = (x for x in bpftool("link") if _is_ours(x, "behind"))
    bpftool("link", "detach", "id", str(mine["id"]))
    answered("v1", next=N)
    (row,) = values(attachment)
    assert row["seen"] == "runs"
    assert "our program beside it was detached" in row["why"]
    answered("v1", next=N)
    (row,) = values(attachment)
    assert (row["packets"], row["ended"]) == (2 * N, None)
    assert bpf.prog_query(index, AttachType.TCX_INGRESS) == [program]


def _is_ours(link: Values, side: str) -> bool:
    name = bpf.prog_name(link.get("prog_id", 0)) or ""
    return name == f"ebpftop_{side}" and link["prog_id"] in held()[0]


def test_long_chains_are_left_room_for_others(
    who: Somebody, follow: Callable[[], Attachment], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcx_neighbours, "MOST_IN_CHAIN", 5)
    index, _ = veth()
    for n in range(2):
        who.put(who.load("tc by byte", f"acme_{n}"), index, "ingress")
    attachment = follow()
    answered("v1", next=N)
    rows = {row["seen"]: row for row in values(attachment)}
    assert (rows["around"]["packets"], rows["runs"]["packets"]) == (N, N)
    assert "its chain has" in rows["runs"]["why"]


def test_a_program_of_ours_at_the_head_is_nobody_s_neighbour(
    who: Somebody, follow: Callable[[], Attachment], modules: Modules
) -> None:
    index, _ = veth()
    ours = Attachment(catalogue()["tc-ingress"], modules, "v0", index)
    try:
        attachment = follow()
        program = who.load("tc by byte", "acme_tc")
        who.put(program, index, "ingress")
        assert told(attachment) == [(program, 0, 0)]
        assert ours.climb().rung == "tcx"
        answered("v1", next=3, shot=N)
        assert told(attachment) == [(program, N + 3, N)]
        assert "for a moment" not in values(attachment)[0]["why"]
        assert values(ours)[0]["packets"] == N + 3
    finally:
        ours.detach()


def test_everything_goes_with_the_process_and_they_stay_as_they_were(who: Somebody) -> None:
    index, _ = veth()
    programs = [who.load("tc by byte", f"acme_{n}") for n in range(2)]
    for program in programs:
        who.put(program, index, "ingress")
    pinned = ("--rung", f"tc-programs={tcx_neighbours.AROUND}")
    with running("stream", "--interval", "0.5", "--hook", "tc-programs", *pinned) as child:
        assert child.stdout is not None
        (told,) = json.loads(child.stdout.readline())["programs"]
        assert (told["interface"], told["xdp"], told["tc-egress"]) == ("v0", [], [])
        assert [row["program_id"] for row in told["tc-ingress"]] == programs
        assert [row["seen"] for row in told["tc-ingress"]] == [tcx_neighbours.AROUND] * 2
        mine, links = held(child.pid)
        assert len(mine) == 4
        chain = bpf.prog_query(index, AttachType.TCX_INGRESS)
        assert [id for id in chain if id in programs] == programs
        child.kill()
        child.wait()
    assert left_of(mine, links) == (set(), set())
    assert bpf.prog_query(index, AttachType.TCX_INGRESS) == programs
