"""Panes show whose a row is, and filter by it; another namespace's interface has its name."""

from __future__ import annotations

import pytest

from probes.analysis import snapshot
from probes.analysis.history import History
from probes.analysis.snapshot import Snapshot
from probes.columns.row_table import RowTable
from probes.hooks import catalogue
from probes.model import HookId, Row, Sample, State, Status, Value
from tests.support.many_views import all_panes, figures
from tui.session.view import View
from tui.table.fields import TableRow
from tui.table.filters import parse

NETNS = 4026532476


def _view(hook: str, *rows: dict[str, Value], columns: bool = False) -> View:
    """What is seen when each row counts 1,000 a second."""
    view = View(catalogue(), History(figures()))
    _count(view, hook, *rows, columns=columns)
    return view


def _count(view: View, hook: str, *rows: dict[str, Value], columns: bool = False) -> None:
    one, id = catalogue()[hook], HookId(hook)
    status = Status(id, State.ATTACHED, "r")
    view.statuses = (*view.statuses, status)
    counters = [name for _, name in one.places.counters]
    before: Sample | None = None
    for second in range(2):
        known = [{**dict.fromkeys(counters, 1000 * second), **r} for r in rows]
        made: list[Row] = [tuple([r.get(c.name) for c in one.stored]) for r in known]
        table = RowTable.of_rows(made, one.places.keys)
        found = table if columns else dict(zip(table, made, strict=True))
        sample = Sample(status, 1.0 + second, 1e9 + second, rows=found)
        view.snapshots[id] = Snapshot.between(one, before, sample)
        view.history.add(hook, (view.snapshots[id],))
        view.time, view.wall, before = sample.time, sample.wall, sample
        view.version += 1


_CONNECTS = (
    {"pid": 7, "comm": "nginx", "raddr": "10.0.0.1", "rport": 80, "container": "shop/cart/app",
     "netns_name": "shop/cart"},
    {"pid": 8, "comm": "sshd", "raddr": "10.0.0.1", "rport": 22, "unit": "ssh.service",
     "netns_name": "host"},
    {"pid": 9, "comm": "curl", "raddr": "10.0.0.1", "rport": 81},
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("container:shop", ["nginx"]),
        ("container=shop/cart/app", ["nginx"]),
        ("!container:shop", ["sshd", "curl"]),
        ("unit:ssh.service", ["sshd"]),
        ("netns:shop", ["nginx"]),
    ],
)
def test_rows_are_filtered_by_their_owner(text: str, kept: list[str]) -> None:
    pane = all_panes()["connects"]
    keep = parse(text, pane.fields(catalogue()))
    assert keep is not None
    view = _view("tcp-connect", *_CONNECTS)
    assert [r.values["comm"] for r in pane.records(view) if keep(r)] == kept


def test_a_destination_has_the_owners_of_all_its_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where there are so many that they are columns."""
    one = [{**row, "rport": 80} for row in _CONNECTS]
    rows = [*one, {**_CONNECTS[0], "pid": 10, "rport": 80}]
    (record,) = all_panes()["connects"].records(_view("tcp-connect", *rows))
    owners = [record.values[name] for name in ("container", "unit", "netns_name")]
    assert owners == ["shop/cart/app", "ssh.service", "shop/cart, host"]
    monkeypatch.setattr(snapshot, "FEW", 0)
    (many,) = all_panes()["connects"].records(_view("tcp-connect", *rows, columns=True))
    assert [many.values[name] for name in ("container", "unit", "netns_name")] == owners


def _detail(pane: str, view: View, record: TableRow) -> str:
    return "\n".join(
        "".join(span[0] for span in line.spans)
        for line in all_panes()[pane].detail(view, record, 100)
    )


def test_a_detail_says_whose_it_is_in_one_line_or_in_none() -> None:
    view = _view("tcp-connect", *_CONNECTS)
    view.unfolded = True
    web, ssh, nobody = all_panes()["connects"].records(view)
    assert "Owner         container shop/cart/app, netns shop/cart" in _detail(
        "connects", view, web
    )
    assert "Owner         ssh.service\n" in _detail("connects", view, ssh)
    assert "Owner" not in _detail("connects", view, nobody)


_ELSEWHERE: dict[str, Value] = {
    "interface": f"if5 (netns {NETNS})", "reason": "NO_SOCKET", "location": "udp_rcv+0x1",
    "protocol": "udp", "trait": "-", "counts": "packets", "netns": NETNS, "ifindex": 5,
    "device": 1, "way": "in", "comm": "",
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "shown", "brief"),
    [
        ("web", "if5 (netns web)", "if5@web"),
        ("netns of nginx[811]", "if5 (netns of nginx[811])", "if5@nginx[811]"),
        (None, f"if5 (netns {NETNS})", "if5@..476"),
    ],
)
def test_an_interface_elsewhere_has_the_name_of_its_namespace(
    name: str | None, shown: str, brief: str
) -> None:
    """Its key stays what it was: a name may come later."""
    row = {**_ELSEWHERE, "netns_name": name}
    pane, view = all_panes()["interfaces"], _view("drops", row)
    (record,) = pane.records(view)
    field = next(f for f in pane.fields(catalogue()) if f.name == "interface")
    assert field.text(record, False) == shown
    assert field.cell(record, 15, False).strip() == (shown if len(shown) <= 15 else brief)[:15]
    assert f"Interface     {shown}" in _detail("interfaces", view, record)
    assert record.name == f"if5 (netns {NETNS})"


def test_the_other_end_of_a_veth_has_its_own_name_and_says_whose_end_it_is() -> None:
    pane, view = all_panes()["interfaces"], _view("drops", {**_ELSEWHERE, "netns_name": "web"})
    veth = {"interface": "veth1", "ifindex": 3, "kind": "veth", "state": "up", "mtu": 1500}
    peer = {"peer": "eth0 in web", "peer_ifindex": 5, "peer_netns": NETNS}
    _count(view, "interfaces", {**veth, **peer, "peer_netns_name": "web", "xdp_mode": "none"})
    here, there = pane.records(view)
    assert here.values["peer"] == "eth0 in web"
    assert "other end eth0 in web" in _detail("interfaces", view, here)
    assert there.values["interface"] == "eth0 (netns web)"
    assert "the other end of veth1 on this host" in _detail("interfaces", view, there)


def test_the_interfaces_of_other_namespaces_follow_this_one_s_with_their_numbers_and_drops() -> (
    None
):
    pane = all_panes()["interfaces"]
    view = _view("drops", {**_ELSEWHERE, "netns_name": "web"})
    here = {"interface": "veth1", "ifindex": 3, "kind": "veth", "state": "up", "mtu": 1500}
    _count(view, "interfaces", {**here, "xdp_mode": "none", "netns_name": "host"})
    eth0 = {"interface": "eth0", "kind": "veth", "state": "up", "mtu": 1500}
    web = {**eth0, "netns": NETNS, "ifindex": 5, "netns_name": "web", "container": "web"}
    db = {**eth0, "netns": NETNS + 1, "ifindex": 2, "netns_name": "db"}
    lo = {**db, "interface": "lo", "kind": "loopback", "ifindex": 1}
    _count(view, "namespace-interfaces", web, db, lo)
    field = next(f for f in pane.fields(catalogue()) if f.name == "interface")
    records = sorted(pane.records(view), key=field.order)
    assert [r.values["interface"] for r in records] == [
        "veth1",
        "eth0 (netns db)",
        "eth0 (netns web)",
    ]
    assert [r.values["netns_name"] for r in records] == ["host", "db", "web"]
    assert [r.values["rx_packets_per_s"] for r in records] == [1000] * 3
    assert [r.values["drops"] for r in records] == [0, 0, 1000]
    keep = parse("netns:web", pane.fields(catalogue()))
    assert keep is not None
    assert [r.values["interface"] for r in records if keep(r)] == ["eth0 (netns web)"]
    keep = parse("container:web", pane.fields(catalogue()))
    assert keep is not None
    assert [r.values["interface"] for r in records if keep(r)] == ["eth0 (netns web)"]
    assert "in another network namespace\n" in _detail("interfaces", view, records[1])


def test_a_container_s_interfaces_are_both_ends_of_its_veth() -> None:
    pane = all_panes()["interfaces"]
    veth = {"ifindex": 3, "kind": "veth", "state": "up", "mtu": 1500, "xdp_mode": "none"}
    rows = [
        {**veth, "interface": "veth1", "container": "web"},
        {**veth, "ifindex": 4, "interface": "veth2", "container": "db"},
    ]
    view = _view("interfaces", *rows)
    there = {"interface": "eth0", "kind": "veth", "netns": NETNS, "ifindex": 5}
    _count(view, "namespace-interfaces", {**there, "netns_name": "web", "container": "web"})
    keep = parse("container:web", pane.fields(catalogue()))
    assert keep is not None
    shown = [record.values["interface"] for record in pane.records(view) if keep(record)]
    assert shown == ["veth1", "eth0 (netns web)"]


@pytest.mark.parametrize("figure", ["interface-rx", "interface-tx"])
def test_an_interface_of_another_namespace_has_graphs(figure: str) -> None:
    """From its own hook, whose keys are another's."""
    pane = all_panes()["interfaces"]
    there = {"interface": "eth0", "kind": "veth", "netns": NETNS, "ifindex": 5}
    view = _view("namespace-interfaces", {**there, "netns_name": "web"})
    (record,) = pane.records(view)
    (own,) = (f for f in pane.figures if f.name == figure)
    assert pane.figure_of is not None
    drawn, key = pane.figure_of(own, record)
    assert view.curve(drawn, key, 120.0, 40).now == 1000
    here = TableRow(3, "veth1", {"kind": "veth"})
    assert pane.figure_of(own, here) == (own, "veth1")
