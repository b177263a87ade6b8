"""Claims get the names that rows know: of who takes part, and of the network namespace."""

from __future__ import annotations

import pytest

from probes.analysis import snapshot
from probes.analysis.cases import words
from probes.analysis.cases.claim import Claim, Evidence, Gravity, Where, Who
from probes.analysis.cases.owners import with_names
from probes.analysis.facts import Facts
from probes.analysis.history import History
from probes.analysis.snapshot import Snapshot
from probes.columns.row_table import RowTable
from probes.hooks import catalogue
from probes.model import HookId, Row, Sample, State, Status, Value
from probes.units import Unit

NETNS = 4026532476


def _facts(hook: str, *rows: dict[str, Value], columns: bool = False) -> Facts:
    one = catalogue()[hook]
    made: list[Row] = [tuple([r.get(c.name) for c in one.stored]) for r in rows]
    table = RowTable.of_rows(made, one.places.keys)
    found = table if columns else dict(zip(table, made, strict=True))
    id = HookId(hook)
    sample = Sample(Status(id, State.ATTACHED, "r"), 1.0, 1e9, rows=found)
    facts = Facts(catalogue(), History([]))
    facts.snapshots[id] = Snapshot.between(one, None, sample)
    return facts


def _claim(**about: object) -> Claim:
    claim = Claim("drops/x", Gravity.ALARM, "?", 1.0, Unit.PACKETS, "interfaces")
    return Claim(**{**{f: getattr(claim, f) for f in claim.__slots__}, **about})  # type: ignore[arg-type]


@pytest.mark.parametrize("columns", [False, True])
def test_who_takes_part_has_container_and_unit(
    monkeypatch: pytest.MonkeyPatch, columns: bool
) -> None:
    monkeypatch.setattr(snapshot, "FEW", 0)
    rows = (
        {"pid": 7, "comm": "nginx", "raddr": "::1", "rport": 1, "container": "shop/cart/app"},
        {"pid": 8, "comm": "sshd", "raddr": "::1", "rport": 1, "unit": "ssh.service"},
    )
    facts = _facts("tcp-connect", *rows, columns=columns)
    who = (Who("nginx", 7), Who("sshd", 8), Who("gone", 9), Who(program="p#1"), Who("none", None))
    found = with_names(facts, _claim(who=who)).who
    assert [(one.container, one.unit) for one in found] == [
        ("shop/cart/app", None),
        (None, "ssh.service"),
        *[(None, None)] * 3,
    ]
    assert words.listed(found, 2) == "nginx[7] in shop/cart/app, sshd[8] +3"


@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize(
    ("name", "called"),
    [("web", "netns web"), ("netns of nginx[811]", "netns of nginx[811]")],
)
def test_a_namespace_is_called_by_name_and_known_by_number(
    monkeypatch: pytest.MonkeyPatch, name: str, called: str, columns: bool
) -> None:
    monkeypatch.setattr(snapshot, "FEW", 0)
    row = {"interface": f"if5 (netns {NETNS})", "reason": "NO_SOCKET", "netns": NETNS}
    facts = _facts("drops", {**row, "netns_name": name}, columns=columns)
    before = _claim(
        what=f"if5 in netns {NETNS} drops packets",
        where=Where("if5", str(NETNS)),
        evidence=(Evidence("drops", f"6/s at if5 (netns {NETNS})", 6.0),),
        next=(f"in netns {NETNS}: ip -s link",),
    )
    after = with_names(facts, before)
    assert after.what == f"if5 in {called} drops packets"
    assert after.evidence == (Evidence("drops", f"6/s at if5 ({called})", 6.0),)
    assert after.next == (f"in {called}: ip -s link",)
    assert after.where == Where("if5", str(NETNS), netns_name=name)
    assert after.id == before.id


@pytest.mark.parametrize("netns", ["", "?", str(NETNS + 1)])
def test_what_has_no_name_stays_as_it_is(netns: str) -> None:
    """This host, a namespace that is not known, and one that no row names."""
    facts = _facts("drops", {"interface": "eth0", "netns": NETNS, "netns_name": "web"})
    claim = _claim(what="netns 1", where=Where("eth0", netns))
    assert with_names(facts, claim) is claim
