"""Drop rules in words, their rates, their banner, and who drops: data in, text or numbers out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from probes.analysis.cases.judgement import cases
from probes.analysis.droppers import Droppers, Drops
from probes.analysis.flows import Cause, Flow
from probes.analysis.history import History
from probes.analysis.hit_rates import by_stage
from probes.analysis.snapshot import Snapshot
from probes.analysis.snapshot_row import SnapshotRow
from probes.drop_rule import parse
from probes.hooks import catalogue
from probes.model import Enforced, HookId, Key, Kind, Row, Sample, State, Status, Value
from tests.support.watched_host import WatchedHost
from tui.panes.interfaces import pane as interfaces
from tui.session.drop_rules import (
    ANYWHERE,
    Dropping,
    Hits,
    banner,
    covers,
    lasting,
    matched,
    reading,
    sentence,
)
from tui.session.view import View
from tui.table.lines import width_of


def _enforced(
    text: str = "src 192.0.2.7 udp dport 53 ttl 10m",
    age: float = 0.0,
    packets: int = 0,
    rung: str | None = "xdp-native",
    interface: str = "eth0",
) -> Enforced:
    rule = parse(text)
    return Enforced(interface, rule, rung, rule.ttl - age, packets, packets * 100)


def _snapshot(id: HookId, *rows: dict[str, Value], rates: dict[str, float]) -> Snapshot:
    """One second in which each row's counters grew by `rates`, from zero."""
    hook = catalogue()[id.hook]
    made: dict[Key, Row] = {}
    for values in rows:
        grown = {c.name: int(rates.get(c.name, 0)) for c in hook.stored if c.kind is Kind.COUNTER}
        row = tuple({**grown, **values}.get(c.name) for c in hook.stored)
        key = tuple(v for v, c in zip(row, hook.stored, strict=True) if c.kind is Kind.KEY)
        made[key] = row
    status = Status(id, State.ATTACHED, hook.ladder[0].name)
    before = Sample(status, 10, 1000)
    return Snapshot.between(hook, before, Sample(status, 11, 1001, rows=made))


def _drops(*snapshots: Snapshot, dropping: tuple[Dropping, ...] = ()) -> Drops:
    """Who drops on eth0."""
    view = View(catalogue(), History(()))
    view.snapshots = {s.id: s for s in snapshots}
    view.dropping = dropping
    link = _snapshot(HookId("interfaces"), {"ifindex": 2, "interface": "eth0"}, rates={})
    return Droppers(view).of(link.rows[0])


def _kernel(reason: str, location: str, rate: int) -> Snapshot:
    row: dict[str, Value] = {
        "interface": "eth0", "reason": reason, "location": location, "protocol": "udp", "dport": 53,
    }  # fmt: skip
    return _snapshot(HookId("drops"), row, rates={"packets": rate})


def _program(
    name: str, id: int, drop: int | None, mode: str = "native", seen: float = 500
) -> Snapshot:
    row: dict[str, Value] = {
        "ifindex": 2, "interface": "eth0", "program_id": id, "program": name, "mode": mode,
        "drop": drop, "aborted": None if drop is None else 0,
    }  # fmt: skip
    return _snapshot(HookId("xdp-programs"), row, rates={"packets": seen})


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (41.2, "41s"), (60, "1m"), (581, "9m41s"), (600, "10m"), (3600, "1h"),
     (3900, "1h05m"), (86400, "24h"), (-3, "0s")],
)  # fmt: skip
def test_a_time_to_live_in_its_two_greatest_units(seconds: float, text: str) -> None:
    assert lasting(seconds) == text


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("src 192.0.2.7 udp dport 53", "every UDP packet from 192.0.2.7 to port 53"),
        ("src 2001:db8::/32", "every packet from 2001:db8::/32"),
        ("icmp", "every ICMP packet"),
        ("proto 99", "every protocol 99 packet"),
        ("dport 8080", "every packet to port 8080"),
    ],
)
def test_a_rule_in_words_names_all_that_must_match(rule: str, words: str) -> None:
    assert matched(parse(rule)) == words


def test_the_sentence_has_what_where_and_how_long() -> None:
    said = sentence(parse("icmp ttl 90s"), "eth0")
    assert said == f"drop every ICMP packet that arrives on eth0, {ANYWHERE}, for 1m30s"
    assert "\x1b" not in sentence(parse("icmp"), "\x1b[2J")


def test_what_is_no_rule_is_bad_with_the_reason() -> None:
    assert reading("udp dport 53", "eth0")[1] != "bad"
    text, role = reading("udp dport 99999", "eth0")
    assert role == "bad"
    assert "1 to 65535" in text


def test_hits_are_by_the_rules_own_age() -> None:
    """Nothing at first; then what was added by its age; anew when it began anew."""
    hits = Hits()
    assert hits.take([_enforced(age=0, packets=0)])[0].per_s is None
    assert hits.take([_enforced(age=0.2, packets=90)])[0].per_s is None
    assert hits.take([_enforced(age=1, packets=100)])[0].per_s == 100
    assert hits.take([_enforced(age=2, packets=400)])[0].per_s == 200
    assert hits.take([_enforced(age=0.5, packets=500)])[0].per_s is None
    assert hits.take([_enforced(age=1.5, packets=510)])[0].per_s == 10
    hits.take([])
    assert hits.take([_enforced(age=2.5, packets=600)])[0].per_s is None


def test_hits_look_back_a_few_seconds_only() -> None:
    """A flood that has ended is at 0 soon."""
    hits, rate = Hits(), None
    for age in range(12):
        rate = hits.take([_enforced(age=age, packets=min(age, 3) * 1000)])[0].per_s
    assert rate == 0


@pytest.mark.parametrize("width", [12, 40, 80, 120])
def test_a_banner_line_is_as_wide_as_the_screen(width: int) -> None:
    """Whatever the rule; from 80 cells on with the time it has left."""
    long = "src 2001:db8:1234:5678:9abc:def0:1234:5678 udp dport 53 ttl 10m"
    for text in ("icmp", long):
        (drawn,) = banner([Dropping(_enforced(text), 12.0)], width, 3)
        said = "".join(part for part, _ in drawn.spans)
        assert width_of(said) == width or width < 80
        assert "10m left" in said


@pytest.mark.parametrize("width", range(30, 100))
def test_a_number_in_a_banner_is_whole_or_not_there(width: int) -> None:
    """30 cells are a screen's least; "23/s" that is cut there would be 2."""
    for many, whole in ((1, 46), (2, 51)):
        rules = [Dropping(_enforced("src 203.0.113.66 ttl 10m"), 23.0)] * many
        (drawn,) = banner(rules, width, 1)
        said = "".join(part for part, _ in drawn.spans)
        assert width_of(said) == width
        assert "10m left" in said
        assert ("23/s" in said) == (width >= whole)
        assert ("0 hits" in said) == (width >= whole - 8)
        assert ("(+1)" in said) == (many == 2 and width > 30)


def test_the_newest_rules_are_shown_and_the_others_counted() -> None:
    rules = [Dropping(_enforced(f"udp dport {n}"), None) for n in range(1, 6)]
    lines = ["".join(t for t, _ in drawn.spans) for drawn in banner(rules, 100, 2)]
    assert len(lines) == 2
    assert "dport 5" in lines[0]
    assert "dport 4" in lines[1]
    assert "(+3)" in lines[1]
    assert banner([], 100, 2) == []


@pytest.mark.parametrize(
    ("rule", "covered"),
    [
        ("src 192.0.2.0/24", True),
        ("src 192.0.3.0/24", False),
        ("udp", True),
        ("tcp", False),
        ("udp dport 53", True),
        ("dport 54", False),
        ("src 2001:db8::/32", False),
    ],
)
def test_a_source_is_marked_where_a_rule_drops_it(rule: str, covered: bool) -> None:
    values: dict[str, Value] = {"saddr": "192.0.2.7", "protocol": "udp", "dport": 53}
    assert covers(parse(rule), SnapshotRow((), values, {})) is covered


def test_a_mac_address_is_covered_by_no_source() -> None:
    values: dict[str, Value] = {"saddr": "52:54:00:00:00:01", "protocol": "arp", "dport": None}
    assert not covers(parse("src 192.0.2.0/24"), SnapshotRow((), values, {}))


def test_a_program_that_tells_is_named_with_what_it_drops() -> None:
    drops = _drops(_program("guard", 7, 300), _kernel("NO_SOCKET", "udp_rcv+0x1", 40))
    assert drops.by[0].title == "XDP guard#7"
    assert (drops.programs, drops.kernel) == (300, 40)


def test_what_the_kernel_frees_for_a_program_is_not_counted_twice() -> None:
    """Generic XDP: the program tells 300, kfree_skb has the same 300."""
    freed = _kernel("XDP", "do_xdp_generic+0x1", 300)
    drops = _drops(_program("guard", 7, 300, "generic"), freed)
    assert (drops.programs, drops.kernel) == (300, 0)
    assert [d.title for d in drops.by] == ["XDP guard#7"]


def test_what_is_freed_for_the_only_program_that_does_not_tell_is_its() -> None:
    """veth: without a reason, by the place."""
    drops = _drops(_program("guard", 7, None), _kernel("NOT_SPECIFIED", "veth_xdp_rcv_skb+0x1", 90))
    assert [(d.title, d.rate) for d in drops.by] == [("XDP guard#7", 90)]
    assert drops.programs == 90


def _errors(answer: str, rate: int, error: str = "-", to: str = "-") -> Snapshot:
    row: dict[str, Value] = {
        "interface": "eth0", "program": "lb#7", "answer": answer, "error": error, "to": to,
    }  # fmt: skip
    return _snapshot(HookId("xdp-errors"), row, rates={"packets": rate})


def test_what_could_not_be_redirected_is_dropped_by_xdp_whatever_its_program_tells() -> None:
    drops = _drops(_program("lb", 7, 30), _errors("redirect", 60, "ENETDOWN", "eth2"))
    said = [(d.title, d.rate) for d in drops.by]
    assert said == [("XDP redirect to eth2: ENETDOWN", 60), ("XDP lb#7", 30)]
    assert drops.programs == 90


@pytest.mark.parametrize(("drop", "said"), [(None, ["XDP aborted"]), (50, ["XDP lb#7"])])
def test_what_was_aborted_counts_where_its_program_does_not_tell(
    drop: int | None, said: list[str]
) -> None:
    drops = _drops(_program("lb", 7, drop), _errors("aborted", 50))
    assert [d.title for d in drops.by] == said
    assert sum(d.rate for d in drops.by) == 50


def test_a_program_that_ends_nothing_drops_nothing() -> None:
    """Ours are around both; the kernel's drops are the other one's."""
    row: dict[str, Value] = {"ifindex": 2, "interface": "eth0", "direction": "ingress",
                             "at": "tcx", "drop": None, "seen": "around"}  # fmt: skip
    snapshot = _snapshot(
        HookId("tc-programs"),
        {**row, "program_id": 7, "program": "guard", "position": 1, "ended": 90},
        {**row, "program_id": 8, "program": "tagger", "position": 2, "ended": 0},
        rates={"packets": 500},
    )
    drops = _drops(snapshot, _kernel("TC_INGRESS", "__netif_receive_skb_core+0x1", 90))
    assert [(d.title, d.rate) for d in drops.by] == [("TC guard#7", 90)]


def test_what_nobody_can_tell_is_not_known() -> None:
    assert _drops(_program("guard", 7, None)).programs is None
    assert _drops().kernel is None


@pytest.mark.parametrize(
    ("rung", "freed"),
    [("tcx", ("TC_INGRESS", "__netif_receive_skb_core+0x1")), ("xdp-native", None)],
)
def test_what_our_rule_drops_is_named_and_counted_once(
    rung: str, freed: tuple[str, str] | None
) -> None:
    seen = [_kernel(*freed, 200)] if freed else []
    drops = _drops(*seen, dropping=(Dropping(_enforced(rung=rung), 200.0),))
    assert [(d.title, d.rate) for d in drops.by] == [("rule src 192.0.2.7 udp dport 53", 200)]
    assert drops.programs == 200


@pytest.mark.parametrize(("rung", "name"), [("xdp-generic", "xdp"), ("tcx", "tc-ingress")])
def test_what_a_rule_drops_is_lost_at_the_stage_where_it_is_enforced(rung: str, name: str) -> None:
    rule = Dropping(_enforced(rung=rung, packets=100), 10.0)
    lost = Cause("rule src 192.0.2.7 udp dport 53", Flow(100, 10.0))
    assert by_stage([rule], rule.enforced.interface) == {name: [lost]}
    assert by_stage([rule], "another") == {}


def _elsewhere(interface: str) -> Snapshot:
    row: dict[str, Value] = {
        "interface": interface, "reason": "NO_SOCKET", "location": "udp_rcv+0x1",
        "protocol": "udp", "dport": 9,
    }  # fmt: skip
    return _snapshot(HookId("drops"), row, rates={"packets": 150})


@pytest.mark.parametrize(
    ("interface", "name"),
    [("if9 (netns 4026532246)", "if9 (netns 4026532246)"), ("-", "no device")],
)
def test_drops_in_containers_and_at_no_device_are_shown_too(interface: str, name: str) -> None:
    """A row of their own, while there are some: only what is dropped is known of it."""
    view = View(catalogue(), History(()))
    link = _snapshot(HookId("interfaces"), {"ifindex": 2, "interface": "eth0"}, rates={})
    view.snapshots = {s.id: s for s in (link, _elsewhere(interface), _program("p", 7, 0))}
    mine, strange = interfaces.PANE.records(view)
    assert (mine.name, mine.values["drops"]) == ("eth0", 0)
    assert (strange.name, strange.mark, strange.values["drops"]) == (name, "bad", 150)
    unknown = ("ifindex", "rx_bytes", "rx_bytes_per_s", "link", "programs", "xdp_mode")
    assert {strange.values[column] for column in unknown} == {None}
    pane = interfaces.PANE
    assert pane.offer is not None
    assert pane.hook_of is not None
    assert (pane.offer(strange), pane.hook_of(strange)) == (None, None)
    said = "\n".join("".join(t for t, _ in x.spans) for x in pane.detail(view, strange, 100))
    assert "another network namespace" in said
    assert "NO_SOCKET" in said


@pytest.mark.parametrize(("received", "mark"), [(500.0, "bad"), (20_000.0, "warn"), (50_000.0, "")])
def test_a_program_that_drops_much_of_what_comes_is_an_alarm(received: float, mark: str) -> None:
    """A filter that drops a little does what it is there for."""
    view = View(catalogue(), History(()))
    values: dict[str, Value] = {"ifindex": 2, "interface": "eth0"}
    link = _snapshot(HookId("interfaces"), values, rates={"rx_packets": received})
    view.snapshots = {s.id: s for s in (link, _program("xdp_filter", 7, 300, seen=received))}
    (found,) = interfaces.PANE.records(view)
    assert (found.mark, found.text("who")) == (mark, "XDP xdp_filter#7")


def test_another_namespace_s_drops_never_push_out_this_host_s() -> None:
    """Although they are more, they come behind."""
    view = View(catalogue(), History(()))
    link = _snapshot(
        HookId("interfaces"), {"ifindex": 2, "interface": "eth0"}, rates={"rx_dropped": 120.0}
    )
    view.snapshots = {s.id: s for s in (link, _elsewhere("if9 (netns 4026532246)"))}
    heads = [case.head for case in cases(view)]
    assert [head.where.interface for head in heads] == ["eth0", "if9"]
    trouble = interfaces.PANE.trouble(view)
    assert trouble is not None
    assert trouble.text.startswith("eth0 drops")


def test_counters_that_are_not_told_by_interface_say_nothing_of_one() -> None:
    """Without programs: a dash, not that nothing is dropped there."""
    drops = _elsewhere("-")
    passive = replace(drops.status, state=State.PASSIVE, rung="counters")
    told = replace(drops, sample=replace(drops.sample, status=passive))
    assert _drops(drops).kernel == 0
    assert _drops(told).kernel is None


@pytest.mark.parametrize(("width", "told"), [(120, True), (80, True), (64, False)])
def test_a_banner_says_which_share_is_dropped_if_the_rule_stays_whole(
    width: int, told: bool
) -> None:
    host = WatchedHost("interfaces")
    for _ in range(2):
        host.more(interfaces=[{"ifindex": 2, "interface": "eth0", "rx_packets": 200}])
    rule = Dropping(_enforced("udp dport 9000"), 50.0)
    (drawn,) = banner([rule], width, 1, host.facts.rows("interfaces"))
    said = "".join(part for part, _ in drawn.spans)
    assert ("25% of RX" in said) is told
    assert "eth0: udp dport 9000" in said
