"""Every program on the host: the same ids, names, places and run counts as bpftool shows."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from probes.analysis.snapshot import Snapshot
from probes.attach.tracepoint import tracepoint_id
from probes.hooks import catalogue
from probes.kernel import bpf, objects, perf_event
from probes.ladder.attachment import Attachment, Modules
from probes.model import State, Value
from probes.point import ProgType
from tests.support.commands import cgroup_programs, held, left_of
from tests.support.foreign import Somebody, own_cgroup, somebody
from tests.support.namespaces import bpftool, namespace, run, send, veth

pytestmark = pytest.mark.kernel

HOOK = catalogue()["programs"]
Row = dict[str, Value]
Record = Callable[[str, object], None]


@pytest.fixture
def who(tmp_path: Path) -> Iterator[Somebody]:
    with namespace(), somebody(tmp_path) as them:
        yield them


@pytest.fixture
def watched(modules: Modules, record_property: Record) -> Iterator[Callable[[], Attachment]]:
    """The hook on its best rung; nothing of it is left."""
    before = held()
    attachments: list[Attachment] = []

    def watch(rung: str | None = None) -> Attachment:
        attachment = Attachment(HOOK, modules)
        attachments.append(attachment)
        status = attachment.climb(pinned=rung)
        assert status.state in (State.ATTACHED, State.PASSIVE), status
        record_property("hook", HOOK.name)
        record_property("rung", status.rung)
        return attachment

    yield watch
    for attachment in attachments:
        attachment.detach()
    assert held() == before


def rows(attachment: Attachment) -> dict[int, Row]:
    """What the hook has, by id."""
    names = HOOK.places.names
    return {int(k[0]): dict(zip(names, r, strict=True)) for k, r in attachment.read().rows.items()}  # type: ignore[arg-type]


def at(attachment: Attachment, program: int) -> str:
    return str(rows(attachment)[program]["attached_to"])


def test_the_same_programs_as_bpftool_by_id_type_name_user_and_size(
    who: Somebody, watched: Callable[[], Attachment]
) -> None:
    """Of all that were there before and after: others come and go meanwhile."""
    who.load("xdp", "acme_of_a_long_name", btf=True)
    before = {p["id"]: p for p in bpftool("prog", "show")}
    ours = rows(watched())
    after = {p["id"]: p for p in bpftool("prog", "show")}
    common = before.keys() & after.keys()
    assert common
    assert common <= ours.keys()
    assert not {id for id in ours if id < max(before)} - before.keys()
    for id in common:
        row, theirs = ours[id], after[id]
        assert row["type"] == theirs["type"]
        assert str(row["name"]).startswith(theirs.get("name", ""))
        assert (row["tag"], row["uid"]) == (theirs["tag"], theirs["uid"])
        assert row["memory"] == theirs["bytes_memlock"]
        assert row["jited"] == theirs.get("bytes_jited", 0)
        assert row["instructions"] == theirs["bytes_xlated"] // 8
        assert abs(time.time() - int(row["age"]) / 1e9 - theirs["loaded_at"]) < 2  # type: ignore[call-overload]


def test_a_long_name_is_whole(who: Somebody, watched: Callable[[], Attachment]) -> None:
    program = who.load("xdp", "acme_of_a_long_name", btf=True)
    without = who.load("xdp", "acme_without_btf_name")
    there = rows(watched())
    assert there[program]["name"] == "acme_of_a_long_name"
    assert there[without]["name"] == "acme_without_bt"


def test_runs_are_the_kernel_s(
    who: Somebody, watched: Callable[[], Attachment], record_property: Record
) -> None:
    """It runs 300 times while it is watched, and none of it is missed."""
    one, _ = veth()
    program = who.xdp_by_link(one, "generic")
    attachment = watched()
    first = attachment.read()
    send("v1", 300)
    while who.seen(program) < 300:
        time.sleep(0.01)
    last = attachment.read()
    (theirs,) = [p for p in bpftool("prog", "show") if p["id"] == program]
    row = rows(attachment)[program]
    assert row["watched_runs"] == 300
    assert row["runs"] == theirs["run_cnt"]
    (shown,) = [r for r in Snapshot.between(HOOK, first, last, first).rows if r.key == (program,)]
    assert shown.rates["runs"] == pytest.approx(300 / (last.time - first.time))
    assert shown["ns_per_run"] == pytest.approx(int(row["run_ns"]) / 300)  # type: ignore[call-overload]
    assert shown.number("cpu_percent") > 0
    assert row["missed"] == 0
    record_property("count", 300)


def test_statistics_are_on_while_it_is_watched_only(
    who: Somebody, watched: Callable[[], Attachment]
) -> None:
    """What runs before and after is not counted, unless somebody else counts as well."""
    one, _ = veth()
    program = who.xdp_by_link(one, "generic")

    def runs(frames: int) -> int:
        (before,) = (p.get("run_cnt", 0) for p in bpftool("prog", "show") if p["id"] == program)
        there = who.seen(program)
        send("v1", frames)
        while who.seen(program) < there + frames:
            time.sleep(0.01)
        (after,) = (p.get("run_cnt", 0) for p in bpftool("prog", "show") if p["id"] == program)
        return int(after - before)

    if runs(20):
        pytest.skip("somebody else has switched statistics on")
    attachment = watched()
    assert runs(20) == 20
    attachment.detach()
    assert runs(20) in (0, 20)  # 20: somebody else has switched them on meanwhile


def test_a_program_that_comes_later_has_all_its_runs_counted(
    who: Somebody, watched: Callable[[], Attachment]
) -> None:
    one, _ = veth()
    attachment = watched()
    attachment.read()
    program = who.xdp_by_link(one, "generic")
    send("v1", 50)
    while who.seen(program) < 50:  # generic XDP runs when the CPU comes to it
        time.sleep(0.01)
    assert rows(attachment)[program]["watched_runs"] == 50


def test_it_holds_no_program_of_anybody(who: Somebody, watched: Callable[[], Attachment]) -> None:
    """What its owner lets go of is gone, although it is watched."""
    program = who.load("xdp", "acme_brief")
    attachment = watched()
    assert program in rows(attachment)
    who.close()
    assert left_of({program}, set()) == (set(), set())
    assert program not in rows(attachment)


# -- where -----------------------------------------------------------------------------------


def test_xdp_and_tc_are_told_as_bpftool_net_tells_them(
    who: Somebody, watched: Callable[[], Attachment]
) -> None:
    one, two = veth()
    xdp = who.xdp_by_netlink("v0", "native")
    linked = who.xdp_by_link(two, "generic")
    run("tc", "qdisc", "add", "dev", "v0", "clsact")
    filter = who.filter("v0", "ingress", 7)
    egress = who.filter("v0", "egress", 3)
    (net,) = bpftool("net")
    told = {x["devname"]: x["mode"] for x in net["xdp"]}
    assert told == {"v0": "driver", "v1": "generic"}
    attachment = watched()
    assert at(attachment, xdp) == "xdp v0 native"
    assert at(attachment, linked) == "xdp v1 generic"
    assert at(attachment, filter) == "tc ingress v0 prio 7"
    assert at(attachment, egress) == "tc egress v0 prio 3"
    assert {t["devname"] for t in net["tc"]} == {"v0"}
    assert one


def test_tcx_is_told(who: Somebody, watched: Callable[[], Attachment]) -> None:
    one, _ = veth()
    try:
        program = who.tcx(one, "egress", "acme_tcx")
    except AssertionError:
        pytest.skip("TCX came with Linux 6.6")
    assert at(watched(), program) == "tcx/egress v0"


def test_a_link_in_another_network_namespace_is_told_by_number(
    who: Somebody, watched: Callable[[], Attachment]
) -> None:
    """Our own interface of that number is another one."""
    veth()
    run("ip", "netns", "add", f"other-{os.getpid()}")
    try:
        run("ip", "link", "set", "v1", "netns", f"other-{os.getpid()}")
        inside = ("ip", "netns", "exec", f"other-{os.getpid()}")
        index = int(run(*inside, "cat", "/sys/class/net/v1/ifindex"))
        assert index > 0
        program = who.ask("load", "xdp", "acme_xdp", False)
        who.ask("enter_netns", f"/run/netns/other-{os.getpid()}")
        who.ask("link", program, index, 37, 2)
        assert at(watched(), program) == f"xdp if{index} of another network namespace"
    finally:
        run("ip", "netns", "del", f"other-{os.getpid()}")


@pytest.mark.parametrize("how", ["link", "multi"])
def test_cgroups_are_told_by_path_as_bpftool_cgroup_tree_tells_them(
    who: Somebody, watched: Callable[[], Attachment], how: str
) -> None:
    with own_cgroup() as group:
        program = who.sock_ops(group, how)
        told = [g for g in bpftool("cgroup", "tree") if g["cgroup"] == str(group)]
        shown = [p for g in told for p in g["programs"]] or cgroup_programs(group)
        assert [p["id"] for p in shown] == [program]
        assert at(watched(), program) == f"cgroup_sock_ops /{group.name}"
        who.close()


def test_raw_tracepoints_and_perf_events_are_told(watched: Callable[[], Attachment]) -> None:
    """A link's name is the kernel's; what a perf event runs without a link, its holder's."""
    number = tracepoint_id("raw_syscalls", "sys_enter")
    raw = bpf.prog_load(ProgType.RAW_TRACEPOINT, bpf.exit_with(0), name="ebpftop_raw")
    link = bpf.raw_tracepoint_open(raw, "sys_exit")
    traced = bpf.prog_load(ProgType.TRACEPOINT, bpf.exit_with(0), name="ebpftop_traced")
    event = perf_event.open_event(2, number)
    try:
        perf_event.attach_program(event, traced)
        attachment = watched()
        assert at(attachment, bpf.prog_info(raw).id) == "raw_tracepoint sys_exit"
        assert at(attachment, bpf.prog_info(traced).id) == "tracepoint sys_enter"
    finally:
        for fd in (link, raw, event, traced):
            os.close(fd)


def test_every_link_of_bpftool_has_a_place(
    who: Somebody, watched: Callable[[], Attachment]
) -> None:
    one, _ = veth()
    who.xdp_by_link(one, "generic")
    before = {link["id"]: link for link in bpftool("link")}
    ours = {link.id: link for link in objects.links()}
    there = rows(watched())
    after = {link["id"] for link in bpftool("link")}
    for id in before.keys() & after & ours.keys():
        link = ours[id]
        if link.program not in there:
            continue  # of somebody else, and gone meanwhile
        assert link.program == before[id]["prog_id"]
        if isinstance(before[id]["type"], str):  # a number where bpftool is older than the type
            assert link.type == before[id]["type"]
        assert there[link.program]["attached_to"], link


# -- who, and what ---------------------------------------------------------------------------


def test_who_holds_it_pins_and_maps_are_told(
    who: Somebody, watched: Callable[[], Attachment], tmp_path: Path
) -> None:
    program = who.load("xdp", "acme_pinned")
    who.ask("pin", program, str(tmp_path / "here"))
    (theirs,) = [p for p in bpftool("prog", "show") if p["id"] == program]
    (map,) = [m for m in bpftool("map", "show") if m["id"] in theirs["map_ids"]]
    row = rows(watched())[program]
    names = str(row["held_by"]).split(", ")
    assert f"pin {tmp_path / 'here'}" in names
    assert any(name.startswith("python") for name in names)
    assert row["maps"] == f"-#{map['id']} array 1"
    assert row["map_memory"] == map["bytes_memlock"]
    assert row["ours"] == ""


def test_ours_are_marked_and_so_are_those_of_another_ebpftop(
    who: Somebody, watched: Callable[[], Attachment]
) -> None:
    mine = bpf.prog_load(ProgType.XDP, bpf.exit_with(2), name="ebpftop_mine")
    theirs = who.load("xdp", "ebpftop_theirs")
    there = rows(watched())
    assert there[bpf.prog_info(mine).id]["ours"] == "yes"
    assert there[theirs]["ours"] == "another ebpftop"
    os.close(mine)


@pytest.mark.anywhere
def test_without_privilege_one_s_own_programs_show(
    who: Somebody, watched: Callable[[str], Attachment]
) -> None:
    mine = bpf.prog_load(ProgType.XDP, bpf.exit_with(2), name="ebpftop_mine")
    theirs = who.load("xdp", "acme_theirs")
    there = rows(watched("own"))
    assert there[bpf.prog_info(mine).id]["type"] == "xdp"
    assert theirs not in there
    os.close(mine)
