"""Snapshots as text: a table for each hook, and nothing in it that could move the cursor."""

from __future__ import annotations

import json

from probes.analysis.snapshot import Snapshot
from probes.hooks import catalogue
from probes.model import Cost, HookId, Key, Kind, Refusal, Row, Sample, State, Status, Value
from probes.source import Host
from tui.output.document import document, grouped, report, text

HOST = Host("here", "6.1.0")
NATIVE = Refusal("link-native", "EOPNOTSUPP", "native XDP is not supported here")


def _snapshot(
    id: HookId,
    *rows: dict[str, Value],
    status: Status | None = None,
    cost: tuple[Cost, Cost] | None = None,
    lost: int = 0,
    log: tuple[Row, ...] = (),
) -> Snapshot:
    hook = catalogue()[id.hook]
    made: dict[Key, Row] = {}
    for values in rows:
        row = tuple(values.get(c.name) for c in hook.stored)
        made[tuple(values.get(c.name) for c in hook.stored if c.kind is Kind.KEY)] = row
    status = status or Status(id, State.ATTACHED, hook.ladder[0].name)
    before, after = cost or (None, None)
    earlier = Sample(status, 10, 1000, rows={}, cost=before)
    sample = Sample(status, 12, 1002, rows=made, cost=after, lost=lost, log=log)
    return Snapshot.between(hook, earlier, sample)


def _tc(name: str, index: int, packets: int = 5, **more: object) -> Snapshot:
    row: dict[str, Value] = {"ifindex": index, "interface": name, "packets": packets, "bytes": 60}
    return _snapshot(HookId("tc-ingress", name), row, **more)  # type: ignore[arg-type]


def _drop(reason: str, counts: str = "packets", **more: Value) -> dict[str, Value]:
    place: Value = "f+0x1" if counts == "packets" else reason
    row: dict[str, Value] = {"interface": "-", "reason": reason, "location": place, "packets": 5}
    return row | {"protocol": "-", "trait": "-", "counts": counts, **more}


def test_a_drop_s_class_and_what_it_means_are_in_json() -> None:
    told = json.loads(document(HOST, 1.0, 2.0, [_snapshot(HookId("drops"), _drop("NO_SOCKET"))]))
    (row,) = told["hooks"][0]["rows"]
    assert (row["class"], row["meaning"]) == ("refusal", "Nothing listens on the port.")


def test_the_funnel_says_its_unit() -> None:
    rows = [
        {"ifindex": 2, "interface": "eth0", "rx_packets": 9, "frames": 1, "whole": 1, "joins": 1}
    ]
    link = _snapshot(HookId("interfaces"), *rows)
    (told,) = json.loads(document(HOST, 1.0, 2.0, [link]))["funnel"]
    nic, xdp, ingress = told["stages"][:3]
    assert told["unit"] == "skbs"
    assert (nic["in"], nic["segments"], xdp["in"]) == (9, 9, 9)
    assert (ingress["in"], ingress["segments"]) == (None, 9), "GRO joins them before TC"


def test_interfaces_of_one_hook_share_one_table() -> None:
    lines = report(HOST, [_tc("lo", 1), _tc("eth0", 2, 9)]).splitlines()
    assert lines[0] == "tc-ingress (2 interfaces): attached on tcx"
    assert lines[1].split() == ["Index", "Interface", "Packets", "Bytes"]
    assert [line.split() for line in lines[2:]] == [
        ["2", "eth0", "9", "60B"],
        ["1", "lo", "5", "60B"],
    ]


def test_one_interface_is_named_in_the_heading() -> None:
    assert report(HOST, [_tc("lo", 1)]).startswith("tc-ingress@lo: attached on tcx\n")


def test_interfaces_that_stand_elsewhere_or_for_other_reasons_have_tables_of_their_own() -> None:
    def xdp(name: str, rung: str, *refused: Refusal) -> Snapshot:
        id = HookId("xdp", name)
        return _snapshot(id, status=Status(id, State.ATTACHED, rung, refused))

    busy = Refusal("link-native", "EBUSY", "the XDP program other#7 (native) is already attached")
    groups = grouped(
        [
            xdp("a", "link-native"),
            xdp("b", "link-generic", NATIVE),
            xdp("c", "link-native"),
            xdp("d", "link-generic", busy),
            xdp("e", "link-generic", NATIVE),
        ]
    )
    assert [[s.id.target for s in g] for g in groups] == [["a", "c"], ["b", "e"], ["d"]]


def test_system_calls_are_not_mixed_for_their_rows_do_not_name_them() -> None:
    ids = [HookId("syscall-processes", name) for name in ("read", "write")]
    said = report(HOST, [_snapshot(id, {"pid": 7, "comm": "cat", "calls": 1}) for id in ids])
    assert said.count("syscall-processes@") == 2


def test_the_cost_of_a_group_is_that_of_all_its_programs() -> None:
    one = (Cost(0, 0), Cost(1000, 200_000))
    other = (Cost(0, 0), Cost(3000, 200_000))
    heading = text([_tc("lo", 1, cost=one), _tc("eth0", 2, cost=other)]).splitlines()[0]
    assert heading.endswith(": attached on tcx, 2.0k runs/s at 100ns: 0.02% of a CPU")


def test_programs_that_did_not_run_cost_nothing_worth_saying() -> None:
    assert text([_tc("lo", 1, cost=(Cost(5, 9), Cost(5, 9)))]).splitlines()[0].endswith("on tcx")


def test_refusals_notes_and_losses_are_said() -> None:
    id = HookId("drops")
    status = Status(id, State.PASSIVE, "counters", (NATIVE,), note="half of it is missing")
    assert text([_snapshot(id, status=status, lost=1500)]).splitlines() == [
        "drops: passive on counters",
        "  not link-native: EOPNOTSUPP: native XDP is not supported here",
        "  note: half of it is missing",
        "  1.5k events were lost (a map was full)",
    ]


def test_what_more_privilege_would_give_is_said_first() -> None:
    host = Host("here", "6.1.0", privilege="uid 7 without CAP_BPF: passive numbers only")
    assert report(host, [_tc("lo", 1)]).startswith(f"{host.privilege}\n\ntc-ingress@lo")


def test_the_busiest_rows_come_first_and_the_rest_is_counted() -> None:
    rows: list[dict[str, Value]] = [
        {"syscall": f"call{n}", "calls": n, "errors": 0, "total_ns": 10**9 // (n + 1)}
        for n in range(50)
    ]
    lines = text([_snapshot(HookId("syscalls"), *rows)]).splitlines()
    assert [line.split()[0] for line in lines[2:5]] == ["call49", "call48", "call47"]
    assert lines[-1] == "  ... and 30 more rows (--json shows all)"
    assert len(lines) == 1 + 1 + 20 + 1


def test_columns_that_are_empty_everywhere_are_left_out() -> None:
    lines = text([_snapshot(HookId("syscalls"), {"syscall": "read", "calls": 3})]).splitlines()
    assert lines[1].split() == ["Syscall", "Calls"]


def test_nothing_that_somebody_else_chose_reaches_the_terminal_as_it_is() -> None:
    bad = "x\x1b[2J\u202e\n"
    id = HookId("tcp-connect")
    row: dict[str, Value] = {"pid": 7, "comm": bad, "raddr": "::1", "rport": 80, "connects": 1}
    refusal = Refusal("fentry", "Busy", f"{bad} is there")
    status = Status(id, State.ATTACHED, "kprobe", (refusal,), note=bad)
    host = Host("here", "6.1.0", privilege=bad)
    said = report(host, [_snapshot(id, row, status=status), _tc(bad, 1)])
    assert not set(said) & set("\x1b\u202e")
    assert all(line.isprintable() for line in said.splitlines())


def test_json_is_one_line_of_ascii_and_keeps_every_character() -> None:
    line = document(HOST, 1e9, 1.0, [_tc("n\u00efc\x1b\u2028", 1)])
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["hooks"][0]["rows"][0]["interface"] == "n\u00efc\x1b\u2028"


def test_json_has_a_rate_beside_each_counter_and_null_where_there_is_none() -> None:
    (hook,) = json.loads(document(HOST, 1.23456, 2.0, [_tc("lo", 1)]))["hooks"]
    (row,) = hook["rows"]
    assert (row["packets"], row["packets_per_s"]) == (5, 2.5)
    assert row["dropped"] is row["dropped_per_s"] is None
    assert hook["cost"] is None


def test_json_has_the_cost_so_far_and_its_share_of_a_cpu_in_the_interval() -> None:
    snapshot = _tc("lo", 1, cost=(Cost(100, 50_000), Cost(300, 90_000)))
    cost = json.loads(document(HOST, 1.0, 2.0, [snapshot]))["hooks"][0]["cost"]
    assert cost.pop("map_memory") is None
    assert cost == {"runs": 300, "ns_per_run": 300.0, "cpu_percent": 0.002}


def test_json_has_the_log_of_hooks_that_have_one() -> None:
    entry = (7, "curl", "::1", 80, "refused", 1500, "web", None, "web")
    snapshot = _snapshot(HookId("tcp-connect"), log=(entry,))
    hooks = json.loads(document(HOST, 1.0, 2.0, [snapshot, _tc("lo", 1)]))["hooks"]
    assert list(hooks[0]["log"][0].values()) == list(entry)
    assert "log" not in hooks[1]


def test_json_has_each_interface_s_programs_in_the_order_in_which_packets_meet_them() -> None:
    xdp: dict[str, Value] = {"ifindex": 2, "interface": "eth0", "program_id": 3, "program": "lb",
                             "mode": "native", "drop": 4}  # fmt: skip
    chain: list[dict[str, Value]] = [
        {"ifindex": 2, "interface": "eth0", "direction": direction, "position": position,
         "program_id": id, "at": "tcx", "seen": "around", "packets": 9, "ended": 2}
        for direction, position, id in (("ingress", 1, 8), ("ingress", 2, 5), ("egress", 1, 6))
    ]  # fmt: skip
    snapshots = [_snapshot(HookId("xdp-programs"), xdp), _snapshot(HookId("tc-programs"), *chain)]
    (told,) = json.loads(document(HOST, 1.0, 1.0, snapshots))["programs"]
    assert list(told) == ["interface", "xdp", "tc-ingress", "tc-egress"]
    assert [p["program_id"] for p in told["tc-ingress"] + told["tc-egress"]] == [8, 5, 6]
    (lb,) = told["xdp"]
    assert (lb["program"], lb["drop"], lb["pass"]) == ("lb", 4, None)
    assert "interface" not in lb
    assert {"drop_per_s", "drop_bytes"} <= set(lb)
    assert json.loads(document(HOST, 1.0, 1.0, []))["programs"] == []


def test_where_packets_were_lost_is_said_before_all_tables() -> None:
    """A line for each stage; nothing where nothing was lost."""
    link: dict[str, Value] = {"ifindex": 2, "interface": "eth\x1b0", "rx_packets": 40}
    drop: dict[str, Value] = {
        "interface": "eth\x1b0",
        "reason": "NO_SOCKET",
        "location": "__udp4_lib_rcv+0x2",
        "packets": 25,
        "protocol": "udp",
        "dport": 9,
    }
    snapshots = [_snapshot(HookId("interfaces"), link), _snapshot(HookId("drops"), drop)]
    first, second, third, *_ = report(HOST, snapshots).splitlines()
    assert first == "packets lost:"
    assert second.split() == ["eth?0", "socket", "25", "NO_SOCKET", "at", "__udp4_lib_rcv"]
    assert third == ""
    assert "packets lost" not in report(HOST, snapshots[:1])
    (told,) = json.loads(document(HOST, 1.0, 1.0, snapshots))["funnel"]
    assert told["interface"] == "eth\x1b0"
    assert {s["stage"]: s["lost"] for s in told["stages"]}["socket"] == 25
