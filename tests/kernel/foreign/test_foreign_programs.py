"""Other people's XDP and TC programs: what they answer is counted, exactly, and they are let be.

Verdicts where this kernel lets a program sit at another's exit; elsewhere how often each ran.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from probes.foreign import followers
from probes.hooks import catalogue
from probes.kernel import bpf
from probes.ladder.attachment import Attachment, Modules
from probes.model import State
from probes.point import AttachType, ProgType
from tests.support.commands import held, left_of, running
from tests.support.foreign import LONG, Somebody, listing, somebody
from tests.support.namespaces import FRAME, as_json, bpftool, namespace, run, send, veth
from tests.support.scenarios import Values, find, values

pytestmark = pytest.mark.kernel

XDP_VERDICTS = ("aborted", "drop", "pass", "tx", "redirect")
NEXT, SHOT, STOLEN, REDIRECT = 255, 2, 4, 7
Follow = Callable[[str], Attachment]


@pytest.fixture
def who(tmp_path: Path) -> Iterator[Somebody]:
    with namespace(), somebody(tmp_path) as them:
        yield them


@pytest.fixture
def follow(modules: Modules, keep: Callable[[str], None]) -> Iterator[Follow]:
    """A hook on the best rung that there is; the rows that it has are exact there."""
    held: list[Attachment] = []

    def follow(hook: str) -> Attachment:
        attachment = Attachment(catalogue()[hook], modules)
        held.append(attachment)
        status = attachment.climb()
        assert status.state is State.ATTACHED, status
        if (rung := attachment.hook.rung(status.rung or "")) is not None and rung.source:
            keep(rung.source_for(None))
        return attachment

    yield follow
    for attachment in held:
        attachment.detach()


def verdicts(device: str, wanted: Mapping[int, int]) -> None:
    """So many frames for each byte that programs "by byte" answer."""
    for byte, frames in wanted.items():
        send(device, frames, of(byte))


def of(byte: int) -> bytes:
    return FRAME[:14] + bytes([byte]) + FRAME[15:]


def by_verdict(attachment: Attachment) -> bool:
    return attachment.status.rung == "fexit"


def counted(attachment: Attachment, *packets: int | None) -> list[Values]:
    """The rows, sorted by what they have been given, as soon as that is so much.

    A veth with native XDP takes packets in when its CPU comes to it.
    """
    deadline = time.monotonic() + 10
    while True:
        rows = sorted(values(attachment), key=lambda row: -(row["packets"] or 0))
        if [row["packets"] for row in rows] == sorted(packets, key=lambda n: -(n or 0)):
            return rows
        assert time.monotonic() < deadline, rows
        time.sleep(0.05)


def counters(row: Values, *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


@pytest.fixture
def tcx() -> None:
    fd = bpf.prog_load(ProgType.SCHED_CLS, bpf.exit_with(NEXT))
    try:
        bpf.link_create(fd, 0x7FFFFFFF, AttachType.TCX_INGRESS)
    except OSError as refused:
        if refused.errno == errno.EINVAL:
            pytest.skip("EINVAL: TCX came with Linux 6.6")
    finally:
        os.close(fd)


# -- XDP -------------------------------------------------------------------------------------


def test_packets_and_bytes_by_verdict_on_two_interfaces_at_once(
    who: Somebody, follow: Follow, record_property: Callable[[str, object], None]
) -> None:
    """Native by link, generic by netlink; what XDP does not know counts as aborted, as there."""
    one, _ = veth()
    two, _ = veth("w0", "w1")
    native = who.load("xdp by byte", "acme_native", btf=True)
    generic = who.load("xdp by byte", "acme_generic", btf=True)
    who.put(native, one, "native")
    run("bpftool", "net", "attach", "xdpgeneric", "id", str(generic), "dev", "w0")
    attachment = follow("xdp-programs")
    verdicts("v1", {0: 1, 1: 2, 2: 3, 3: 4, 4: 5, 9: 6})
    verdicts("w1", {1: 7, 2: 8})
    first, second = counted(attachment, 21, 15)
    assert counters(first, "ifindex") + counters(second, "ifindex") == (one, two)
    who_where = ("interface", "program", "program_id", "mode", "by")
    assert counters(first, *who_where) == ("v0", "acme_native", native, "native", "link")
    assert counters(second, *who_where) == ("w0", "acme_generic", generic, "generic", "netlink")
    record_property("count", 36)
    if not by_verdict(attachment):
        # A veth's driver counts what it dropped, and what it could send back or redirect: nothing.
        assert counters(first, "seen", *XDP_VERDICTS) == ("driver", None, 9, None, 0, 0)
        assert first["why"] == "its driver counts, aborted as dropped"
        assert counters(second, "seen", *XDP_VERDICTS, "bytes") == ("runs", *(None,) * 6)
        assert second["why"]
        return
    assert first["seen"] == second["seen"] == "fexit"
    assert first["why"] == second["why"] == ""
    assert counters(first, *XDP_VERDICTS) == (7, 2, 3, 4, 5)
    assert counters(second, *XDP_VERDICTS) == (0, 7, 8, 0, 0)
    size = len(FRAME)
    octets = counters(first, *(f"{v}_bytes" for v in XDP_VERDICTS))
    assert octets == (7 * size, 2 * size, 3 * size, 4 * size, 5 * size)
    assert counters(second, "drop_bytes", "pass_bytes", "bytes") == (7 * size, 8 * size, 15 * size)


def test_a_program_is_followed_when_it_comes_is_replaced_moves_and_goes(
    who: Somebody, follow: Follow
) -> None:
    one, _ = veth()
    two, _ = veth("w0", "w1")
    attachment = follow("xdp-programs")
    assert values(attachment) == []
    first = who.load("xdp by byte", "acme_first", btf=True)
    second = who.load("xdp by byte", "acme_second", btf=True)
    link = who.put(first, one, "native")
    assert find(values(attachment), program_id=first)["packets"] == 0
    verdicts("v1", {1: 3, 2: 2})
    counted(attachment, 5)
    who.ask("replace", link, second)
    (row,) = values(attachment)
    assert counters(row, "program_id", "program", "packets") == (second, "acme_second", 0)
    verdicts("v1", {1: 4})
    counted(attachment, 4)
    mine = {p["id"] for p in bpftool("prog") if p.get("name", "").startswith("ebpftop_xdp")}
    assert len(mine) == (1 if by_verdict(attachment) else 0)
    who.ask("unlink", link)
    assert values(attachment) == []
    assert left_of(mine, set()) == (set(), set())
    moved = who.put(second, two, "generic")
    (row,) = values(attachment)
    assert counters(row, "interface", "mode", "packets") == ("w0", "generic", 0), "from zero"
    verdicts("w1", {1: 2, 2: 6})
    (row,) = counted(attachment, 8)
    assert row["drop"] == (2 if by_verdict(attachment) else None)
    who.ask("unlink", moved)
    assert values(attachment) == []


def test_one_program_on_two_interfaces(who: Somebody, follow: Follow) -> None:
    """Fexit and drivers tell them apart; how often it ran does not, and so is nobody's count."""
    one, _ = veth()
    two, _ = veth("w0", "w1")
    program = who.load("xdp by byte", "acme_both", btf=True)
    for index, mode in ((one, "native"), (two, "generic")):
        who.put(program, index, mode)
    attachment = follow("xdp-programs")
    verdicts("v1", {1: 3})
    verdicts("w1", {1: 1, 2: 4})
    if by_verdict(attachment):
        second, first = counted(attachment, 5, 3)
        assert counters(first, "ifindex", "drop", "pass") == (one, 3, 0)
        assert counters(second, "ifindex", "drop", "pass") == (two, 1, 4)
        return
    first, second = counted(attachment, 3, None)
    assert counters(first, "ifindex", "seen", "drop") == (one, "driver", 3)
    assert counters(second, "ifindex", "seen", "drop") == (two, "runs", None)
    assert "2 interfaces" in second["why"]


def test_a_program_that_cannot_be_followed_costs_the_others_nothing(
    who: Somebody, follow: Follow
) -> None:
    """One without type information, beside one with: what its driver counts, with the reason."""
    one, _ = veth()
    two, _ = veth("w0", "w1")
    bare = who.load("xdp by byte", "acme_bare")
    typed = who.load("xdp by byte", "acme_typed", btf=True)
    who.put(bare, one, "native")
    who.put(typed, two, "native")
    attachment = follow("xdp-programs")
    verdicts("v1", {1: 3, 2: 2})
    verdicts("w1", {1: 4, 2: 2})
    other, row = counted(attachment, 6, 5)
    assert (other["program_id"], row["program_id"]) == (typed, bare)
    assert counters(row, "seen", "drop", "pass") == ("driver", 3, None)
    if by_verdict(attachment):
        assert "BTF" in row["why"]
        assert counters(other, "seen", "why", "drop", "pass") == ("fexit", "", 4, 2)


def test_more_programs_than_are_followed_are_counted_by_their_runs(
    who: Somebody, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followers, "MAX_FOLLOWED", 1)
    one, _ = veth()
    two, _ = veth("w0", "w1")
    for index in (one, two):
        who.put(who.load("xdp by byte", "acme_many", btf=True), index, "generic")
    attachment = follow("xdp-programs")
    verdicts("v1", {2: 3})
    verdicts("w1", {2: 1})
    rows = counted(attachment, 3, 1)
    if by_verdict(attachment):
        assert sorted(row["seen"] for row in rows) == ["fexit", "runs"]
        assert "followed already" in find(rows, seen="runs")["why"]


@pytest.mark.usefixtures("who")
def test_our_own_programs_are_not_among_them(follow: Follow, modules: Modules) -> None:
    one, _ = veth()
    ours = Attachment(catalogue()["xdp"], modules, "v0", one)
    try:
        assert ours.climb(asked=True).state is State.ATTACHED
        assert values(follow("xdp-programs")) == []
    finally:
        ours.detach()


def test_a_dispatcher_s_verdict_is_that_of_its_parts_which_are_listed(
    who: Somebody, follow: Follow
) -> None:
    one, _ = veth()
    attachment = follow("xdp-programs")
    if not by_verdict(attachment):
        pytest.skip("programs that replace functions of others need trampolines, too")
    dispatcher, part = who.ask("dispatcher", "xdp_dispatcher", "acme_part")
    who.put(dispatcher, one, "native")
    (row,) = values(attachment)
    told = tuple(map(int, os.uname().release.split(".")[:2])) >= (5, 13)  # a link's target
    assert counters(row, "program_id", "parts") == (dispatcher, f"acme_part#{part}" * told)
    verdicts("v1", {1: 3, 2: 2, 3: 1})
    (row,) = counted(attachment, 6)
    assert counters(row, "seen", "drop", "pass", "tx") == ("fexit", 3, 2, 1)


def test_tail_calls_have_the_last_one_s_verdict(who: Somebody, follow: Follow) -> None:
    one, _ = veth()
    last = who.load("xdp by byte", "acme_last", btf=True)
    first = who.ask("tail", "acme_first", last)
    who.put(first, one, "native")
    attachment = follow("xdp-programs")
    verdicts("v1", {1: 3, 2: 2})
    (row,) = counted(attachment, 5)
    if by_verdict(attachment):
        assert counters(row, "drop", "pass") == (3, 2)
        assert "tail calls" in row["why"]


# -- TC --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("tcx")
def test_a_tcx_chain_of_three_in_order(
    who: Somebody, follow: Follow, record_property: Callable[[str, object], None]
) -> None:
    """Each is given what the one before let on, and what each drops is its own."""
    index, _ = veth()
    attachment = follow("tc-programs")
    long_ones = who.load("tc", "acme_long", btf=True)
    by_byte = who.load("tc by byte", "acme_byte", btf=True)
    last = who.load("tc by byte", "acme_last", btf=True)
    for program in (long_ones, by_byte, last):
        who.put(program, index, "ingress")
    assert [r["packets"] for r in values(attachment)] == [0, 0, 0]
    send("v1", 4, LONG)
    verdicts("v1", {NEXT: 3, SHOT: 2, 0: 1, REDIRECT: 5})
    rows = counted(attachment, 15, 11, 3)
    assert [counters(r, "position", "program_id", "at") for r in rows] == [
        (1, long_ones, "tcx"),
        (2, by_byte, "tcx"),
        (3, last, "tcx"),
    ]
    assert {counters(r, "interface", "direction") for r in rows} == {("v0", "ingress")}
    record_property("count", 29)
    if by_verdict(attachment):
        told = [counters(r, "pass", "drop", "redirect", "other", "seen") for r in rows]
        assert told == [(11, 4, 0, 0, "fexit"), (4, 2, 5, 0, "fexit"), (3, 0, 0, 0, "fexit")]
        size = len(FRAME)
        assert [r["bytes"] for r in rows] == [4 * len(LONG) + 11 * size, 11 * size, 3 * size]
        return
    # Ours are around each: what did not go on is known, whatever it was (one was accepted).
    told = [counters(r, "ended", "drop", "pass", "seen") for r in rows]
    assert told == [(n, None, None, "around") for n in (4, 8, 0)]
    assert all("these are not told apart" in row["why"] for row in rows)


def test_filters_of_both_directions_are_told_apart(who: Somebody, follow: Follow) -> None:
    """Two at ingress by priority, and the second of them once more at egress."""
    veth()
    run("tc", "qdisc", "add", "dev", "v0", "clsact")
    first = who.load("tc by byte", "acme_first", btf=True)
    both = who.load("tc by byte", "acme_both", btf=True)
    who.filter_of(both, "v0", "ingress", 9)
    who.filter_of(first, "v0", "ingress", 5)
    who.filter_of(both, "v0", "egress", 1)
    attachment = follow("tc-programs")
    verdicts("v1", {NEXT: 3, SHOT: 2, STOLEN: 1})
    verdicts("v0", {SHOT: 4, 0: 5})
    rows = values(attachment)
    ingress = sorted(
        (r for r in rows if r["direction"] == "ingress"), key=lambda row: row["position"]
    )
    (egress,) = (r for r in rows if r["direction"] == "egress")
    assert [counters(r, "position", "program_id", "at") for r in ingress] == [
        (1, first, "prio 5 handle 0x7"),
        (2, both, "prio 9 handle 0x7"),
    ]
    assert ingress[0]["packets"] == 6
    if not by_verdict(attachment):
        assert (ingress[1]["packets"], egress["packets"]) == (None, None)
        assert "2 places" in egress["why"]
        return
    verdict = ("packets", "pass", "drop", "redirect", "other")
    assert counters(ingress[0], *verdict) == (6, 3, 2, 0, 1)
    assert counters(ingress[1], *verdict) == (3, 3, 0, 0, 0)
    assert counters(egress, *verdict) == (9, 5, 4, 0, 0)


# -- they are let be -------------------------------------------------------------------------


def test_nothing_of_theirs_is_changed(who: Somebody, follow: Follow) -> None:
    """Not while they are followed and not afterwards, as the system's tools show it."""
    one, _ = veth()
    run("tc", "qdisc", "add", "dev", "v0", "clsact")
    xdp = who.load("xdp", "acme_xdp", btf=True)
    tc = who.load("tc", "acme_tc", btf=True)
    who.put(xdp, one, "native")
    who.filter_of(tc, "v0", "ingress", 5)
    before = _shown(xdp, tc)
    attachments = [follow(hook) for hook in ("xdp-programs", "tc-programs")]
    send("v1", 3)
    send("v1", 4, LONG)
    for attachment, packets in zip(attachments, (7, 3), strict=True):
        counted(attachment, packets)
    assert (who.seen(xdp), who.seen(tc)) == (7, 3)
    assert _shown(xdp, tc) == before
    for attachment in attachments:
        attachment.detach()
    assert _shown(xdp, tc) == before


def _shown(*programs: int) -> dict[str, Any]:
    """Without what counts traffic."""
    shown = listing(["v0"], list(programs))
    for device in ("ip v0", "qdisc v0"):
        for entry in shown[device]:
            entry.pop("stats64", None)
    return shown


def test_nothing_is_left_after_sigkill(who: Somebody) -> None:
    one, _ = veth()
    program = who.load("xdp by byte", "acme_killed", btf=True)
    who.put(program, one, "native")
    with running("stream", "--interval", "0.5", "--hook", "xdp-programs") as child:
        assert child.stdout is not None
        (hook,) = json.loads(child.stdout.readline())["hooks"]
        (row,) = hook["rows"]
        seen = {"fexit": "fexit", "runs": "driver"}[hook["rung"]]
        assert (row["program_id"], row["seen"]) == (program, seen)
        mine, links = held(child.pid)
        child.kill()
        child.wait()
    assert bool(mine) is (hook["rung"] == "fexit")
    assert left_of(mine, links) == (set(), set())
    verdicts("v1", {2: 1})
    assert as_json("ip", "-j", "link", "show", "dev", "v0")[0]["xdp"]["prog"]["id"] == program
