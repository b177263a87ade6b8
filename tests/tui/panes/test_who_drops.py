"""Who drops, from the first look to a rule and its end: interface, funnel, sources, drop rules."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import Any

import pytest
from textual.pilot import Pilot

from probes.drop_rule import DropRule, RuleError, parse
from probes.errors import Denied
from probes.model import Enforced, HookId, Row, Sample, State
from probes.sources.demo.source import Demo
from tests.support.stage import playing, settle, step, text
from tui.screen.actions import attach
from tui.screen.app import Monitor

BANNER = 2
"""The line that rules stand on."""


def _toasts(app: Monitor) -> list[str]:
    return [n.message for n in app._notifications]


def _log(app: Monitor) -> list[str]:
    return [e.text for e in app.session.live.events]


def _attached(app: Monitor) -> list[str]:
    standing = (State.ATTACHED, State.PASSIVE)
    return [str(s.id) for s in app.session.source.statuses() if s.state in standing]


async def _press(pilot: Pilot[Any], *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
        await settle(pilot)


async def _type(pilot: Pilot[Any], words: str) -> None:
    names = {" ": "space", ".": "full_stop", "/": "slash", ":": "colon"}
    await pilot.press("ctrl+u", *(names.get(c, c) for c in words))


async def _sources(app: Monitor, pilot: Pilot[Any], source: str = "203.0.113.66") -> None:
    """The sources of eth1, with this one selected."""
    await _press(pilot, "t")
    await step(pilot, 3)
    names = [r.name.split()[0] for r in app.table.rows]
    app.table.select(names.index(source))


async def _dropping(app: Monitor, pilot: Pilot[Any]) -> None:
    """A rule from the busiest source, at work for three ticks."""
    await _sources(app, pilot)
    await _press(pilot, "D", "enter", "y")
    await step(pilot, 3)


async def test_at_first_sight_it_is_seen_who_drops() -> None:
    """At 80x24: the program by name, what it drops beside what the link and the kernel do, mode."""
    async with playing(size=(80, 24)) as (app, _):
        row = next(r for r in text(app).splitlines() if "eth1" in r and "native" in r)
        assert "XDP xdp_filter#412" in row
        record = app.table.record
        assert record is not None
        assert record.number("programs") > 5000
        assert 500 < record.number("drops") < 5000
        assert record.values["xdp_mode"] == "native"


async def test_a_program_that_tells_no_verdicts_is_a_dash() -> None:
    """veth90b7de: its program's runs are counted, not what it answers."""
    async with playing() as (app, _):
        row = next(r for r in app.table.rows if r.name == "veth90b7de")
        assert row.values["programs"] is None


async def test_enter_shows_the_funnel_and_everybodys_programs_in_order() -> None:
    """Each stage with what came and was lost; programs with how they are seen, and why."""
    async with playing(size=(120, 60)) as (app, pilot):
        await _press(pilot, "enter")
        shown = text(app)
        lines = shown.splitlines()[4:]
        at = [next(i for i, row in enumerate(lines) if f" {name} " in row[:19]) for name in (
            "NIC", "XDP", "TC ingress", "stack", "socket", "TC egress", "qdisc", "wire"
        )]  # fmt: skip
        assert at == sorted(at)
        assert any("!     XDP" in row and "xdp_filter#412" in row for row in lines)
        assert any("!     socket" in row and "SOCKET_RCVBUFF udp:514" in row for row in lines)
        below = shown[shown.index("─ Programs") :]
        order = [below.index(p) for p in ("xdp_filter#412", "tag_tenant#431", "police_syslog")]
        assert order == sorted(order)
        assert "receive buffer of udp:514 is full" in shown
        assert "runs: no BTF" in below
        await _press(pilot, "X")
        assert "it was loaded without BTF" in text(app)


async def test_the_bar_of_a_stage_is_what_comes_and_its_shaded_part_what_is_lost() -> None:
    """At any width that has one; the numbers are the same."""
    for width in (80, 100, 120, 200):
        async with playing(size=(width, 40)) as (app, pilot):
            await _press(pilot, "enter")
            rows = text(app).splitlines()
            end = next(r.index("Lost/s") for r in rows if " Lost/s " in r)
            found = [
                next(r for r in rows if re.search(f" {name} .*█", r))
                for name in ("NIC", "XDP", "TC(?: ingress)?")
            ]
            nic, xdp, behind = (row[:end] for row in found)  # histories are of other things
            assert nic.count("█") == xdp.count("█") + xdp.count("▒")
            assert xdp.count("█") == behind.count("█")
            assert 0.25 < xdp.count("▒") / nic.count("█") < 0.4
            assert re.search(r"20\.8k .* 6\.6k .* 122k", found[1])


async def test_under_a_reason_stands_what_it_means() -> None:
    """A clause with its port and who holds it; with X the sentence."""
    async with playing(size=(120, 80)) as (app, pilot):
        await _press(pilot, "enter")
        shown = text(app)
        row = next(r for r in shown.splitlines() if "receive buffer of udp:514 is full" in r)
        assert "rsyslogd[811]" in row
        assert "The receive buffer of the socket was full." not in shown
        await _press(pilot, "X")
        assert text(app).count("udp:514: The receive buffer of the socket was full.") == 1


@pytest.mark.parametrize(("ticks", "xdp", "every"), [(49, "0", "1"), (30, "", "")])
async def test_what_stages_usually_lose_is_said_where_it_is_known(
    ticks: int, xdp: str, every: str
) -> None:
    """Of all stages not before it is of each that loses packets now."""
    async with playing(size=(120, 60), ticks=ticks) as (app, pilot):
        await _press(pilot, "enter")
        head, *rows = text(app).splitlines()[5:15]
        end = head.index("Usual") + len("Usual")
        said = {row[7:18].strip(): row[end - 5 : end].strip() for row in rows}
        assert (said["XDP"], said["all"]) == (xdp, every)
        assert said["TC ingress"] == said["TC egress"] == "0"


async def test_the_stages_of_the_funnel_add_up() -> None:
    """What is lost is lost at one stage: the kernel's own, and the program's, each once."""
    async with playing(size=(120, 60)) as (app, pilot):
        record = app.table.record
        assert record is not None
        await _press(pilot, "enter")
        row = next(r for r in text(app).splitlines() if "!     all" in r)
        lost = float(row.split()[2].removesuffix("k")) * 1000
        assert f"eth1 ── lost/s, now {row.split()[2]} " in text(app)
        known = sum(record.number(n) for n in ("programs", "drops", "link"))
        assert lost == pytest.approx(known, rel=0.05)


@pytest.mark.parametrize("leave", ["escape", "3", "tab", "L"])
async def test_top_sources_are_attached_while_they_are_looked_at(leave: str) -> None:
    """t attaches sources@eth1; whichever way they are left, it goes."""
    async with playing(size=(80, 24)) as (app, pilot):
        await _press(pilot, "t")
        await step(pilot, 3)
        assert "sources@eth1" in _attached(app)
        assert "203.0.113.66" in text(app)
        await _press(pilot, "enter", "escape")
        assert "sources@eth1" in _attached(app)
        await _press(pilot, leave)
        await step(pilot)
        assert "sources@eth1" not in _attached(app)
        assert all(i.hook != "sources" for i in app.session.live.snapshots)


async def test_a_frozen_screen_goes_on_for_sources_which_begin_now() -> None:
    async with playing() as (app, pilot):
        await _press(pilot, "space", "t")
        await step(pilot, 3)
        assert "FROZEN" not in text(app)
        assert "203.0.113.66" in text(app)


async def test_sources_are_those_of_the_interface_and_sorted_by_rate() -> None:
    """Of eth0: another interface's senders are not there; < and > sort as elsewhere."""
    async with playing() as (app, pilot):
        app.table.select([r.name for r in app.table.rows].index("eth0"))
        await _press(pilot, "t")
        await step(pilot, 3)
        rows = app.table.rows
        assert "203.0.113.66" not in text(app)
        rates = [r.number("packets_per_s") for r in rows]
        assert rates == sorted(rates, reverse=True)
        assert rates[0] > 1000
        await _press(pilot, "less_than_sign")
        assert app.table.sort == "dport"


async def test_escape_from_the_sources_goes_back_to_the_detail_they_were_opened_from() -> None:
    async with playing() as (app, pilot):
        await _press(pilot, "enter", "t")
        await step(pilot, 3)
        assert "top sources" in text(app) or "sources," in text(app)
        await _press(pilot, "escape")
        assert "Why the kernel dropped" in text(app)
        await _press(pilot, "escape")
        assert app.table.record is not None
        assert app.table.record.name == "eth1"


async def test_a_rule_from_a_source_to_its_hits_to_its_end() -> None:
    """Interface, sources, D, one sentence, y; it drops, which is seen; L, d: it is gone."""
    async with playing(size=(80, 24)) as (app, pilot):
        await _sources(app, pilot)
        await _press(pilot, "D")
        assert "src 203.0.113.66 proto udp dport 514 ttl 10m" in text(app)
        await _press(pilot, "enter")
        asked = " ".join(text(app).split())
        assert "Drop every UDP packet from 203.0.113.66 to port 514 that arrives on eth1" in asked
        assert "at TC ingress (XDP is xdp_filter#412's), for 10m?" in asked
        assert app.session.source.rules() == ()
        await _press(pilot, "y")
        await step(pilot, 3)
        (rule,) = app.session.source.rules()
        assert rule.packets > 3000
        said = text(app).splitlines()[BANNER]
        assert said.startswith(" DROPPING eth1: src 203.0.113.66 udp dport 514")
        assert "k/s" in said
        assert "9m57s left" in said
        assert any("dropping src 203.0.113.66" in t and "EBUSY" in t for t in _toasts(app))
        row = next(r for r in app.table.rows if r.name.startswith("203.0.113.66"))
        assert row.number("packets_per_s") == 0
        assert row.text("rule") == "dropped 9m57s"
        await _press(pilot, "L", "d")
        assert app.session.source.rules() == ()
        assert "DROPPING" not in text(app)
        assert any("udp dport 514 removed after" in t for t in _log(app))


async def test_the_banner_is_on_every_pane_and_also_where_the_screen_stands_still() -> None:
    """Its time runs while everything else is frozen."""
    async with playing(size=(80, 24)) as (app, pilot):
        await _dropping(app, pilot)
        for key in ("1", "2", "3", "4", "5", "L", "question_mark"):
            await _press(pilot, key)
            assert " DROPPING eth1:" in text(app).splitlines()[BANNER]
        await _press(pilot, "2", "space")
        before = text(app).splitlines()[BANNER]
        await step(pilot, 2)
        assert "FROZEN" in text(app)
        assert text(app).splitlines()[BANNER] != before


async def test_the_funnel_has_what_a_rule_drops_at_one_stage() -> None:
    async with playing(size=(120, 60)) as (app, pilot):
        await _dropping(app, pilot)
        await _press(pilot, "escape", "enter")
        rows = [r for r in text(app).splitlines() if "rule src 203.0.113.66" in r]
        assert [r.split()[:2] for r in rows] == [["TC", "ingress"]], "on purpose: no alarm"


@pytest.mark.parametrize("key", ["n", "N", "enter", "escape"])
async def test_anything_but_y_drops_nothing(key: str) -> None:
    async with playing() as (app, pilot):
        await _sources(app, pilot)
        await _press(pilot, "D", "enter", "x", "d", key)
        await step(pilot)
        assert app.session.source.rules() == ()
        assert app.prompt.question is None


async def test_a_prompt_keeps_its_source_while_rows_move() -> None:
    """What was under the cursor when D was pressed is what is dropped."""
    async with playing() as (app, pilot):
        await _sources(app, pilot, "203.0.113.201")
        await _press(pilot, "D")
        app.table.select(0)
        await step(pilot, 2)
        app.table.select(4)
        await _press(pilot, "enter")
        app.table.select(0)
        await step(pilot, 2)
        await _press(pilot, "y")
        rules = [e.rule.what for e in app.session.source.rules()]
        assert rules == ["src 203.0.113.201 udp dport 514"]


class Swapped(Demo):
    """eth1 is another interface from that second on: the name is the same, the number is not."""

    since = 1e9

    def sample(self, id: HookId, time: float) -> Sample:
        made = super().sample(id, time)
        if id.hook != "interfaces" or time < self.since:
            return made
        rows: dict[Any, Row] = {}
        for key, row in made.rows.items():
            number = 77 if row[1] == "eth1" else key[0]
            rows[number,] = (number, *row[1:])
        return replace(made, rows=rows)


async def test_an_interface_that_is_another_by_now_is_not_dropped_on() -> None:
    """The name was taken over under the prompt: nothing is dropped, and that is said."""
    async with playing(source=Swapped) as (app, pilot):
        await _sources(app, pilot)
        await _press(pilot, "D", "enter")
        app.session.source.since = 0  # type: ignore[attr-defined]
        await step(pilot, 2)
        await _press(pilot, "y")
        assert app.session.source.rules() == ()
        assert any("eth1 was replaced by another interface" in t for t in _toasts(app))


async def test_what_is_dropped_and_for_how_long_can_be_edited() -> None:
    """Up: all of the source's packets; the time as it is typed; the sentence follows."""
    async with playing() as (app, pilot):
        await _sources(app, pilot)
        await _press(pilot, "D", "up")
        assert "= drop every packet from 203.0.113.66 that arrives on eth1" in text(app)
        await _type(pilot, "src 203.0.113.0/24 ttl 90s")
        await _press(pilot, "enter", "y")
        (rule,) = app.session.source.rules()
        assert str(rule.rule) == "src 203.0.113.0/24 ttl 90s"


async def test_what_is_no_rule_is_said_and_not_taken() -> None:
    """The sentence below says what is wrong; Enter does nothing until it is right."""
    async with playing(size=(80, 24)) as (app, pilot):
        await _press(pilot, "D")
        assert "such as: src 192.0.2.0/24 ttl 10m" in text(app)
        for wrong, why in (
            ("ttl 10m", "would match every packet"),
            ("src 203.0.113.9/24", "the network is 203.0.113.0/24"),
            ("src 127.0.0.1", "is the loopback"),
            ("icmp dport 7", "has no ports"),
            ("udp ttl 2d", "is not a time"),
        ):
            await _type(pilot, wrong)
            await _press(pilot, "enter")
            assert why in " ".join(text(app).split())
        await _type(pilot, "icmp ttl 30s")
        await _press(pilot, "enter", "y")
        assert [str(e.rule) for e in app.session.source.rules()] == ["proto icmp ttl 30s"]


async def test_what_is_not_ip_is_no_rule() -> None:
    """A MAC address is no source that can be dropped."""
    async with playing() as (app, pilot):
        await _sources(app, pilot, "52:54:00:12:34:01")
        await _press(pilot, "D", "enter")
        assert "! '" in text(app).splitlines()[-1]
        await _press(pilot, "escape")
        assert app.session.source.rules() == ()


async def test_a_rule_ends_by_itself_and_that_is_said() -> None:
    async with playing() as (app, pilot):
        await _press(pilot, "D")
        await _type(pilot, "udp dport 514 ttl 3s")
        await _press(pilot, "enter", "y")
        await step(pilot)
        assert "DROPPING" in text(app)
        await step(pilot, 4)
        assert "DROPPING" not in text(app)
        assert any(t.startswith("eth1: udp dport 514 ended after") for t in _toasts(app))


async def test_a_rule_is_extended_from_the_list() -> None:
    """D on it: the same, as if new; there is still one."""
    async with playing() as (app, pilot):
        await _dropping(app, pilot)
        await _press(pilot, "L", "D")
        await _type(pilot, "src 203.0.113.66 udp dport 514 ttl 1h")
        await _press(pilot, "enter")
        assert "on tcx, for 1h?" in " ".join(text(app).split())
        await _press(pilot, "y")
        assert [e.rule.ttl for e in app.session.source.rules()] == [3600]


async def test_several_rules_have_a_line_each_and_the_list_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As many lines as there is space for; the rest is counted. One key ends one, each selected."""
    monkeypatch.setattr(attach, "JUST_MOVED_SECONDS", 0.0)
    async with playing(size=(80, 24)) as (app, pilot):
        for what in ("icmp", "udp dport 53", "tcp dport 9092", "src 192.0.2.0/24"):
            await _press(pilot, "D")
            await _type(pilot, what)
            await _press(pilot, "enter", "y")
        shown = text(app).splitlines()
        assert "DROPPING eth1: src 192.0.2.0/24" in shown[BANNER]
        assert "DROPPING eth1: tcp dport 9092" in shown[BANNER + 1]
        assert "(+2)" in shown[BANNER + 1]
        await _press(pilot, "L")
        assert len(app.table.rows) == 4
        await _press(pilot, "delete", "d")
        assert len(app.session.source.rules()) == 3, "a key that is pressed twice ends one"
        await _press(pilot, "home", "d", "home", "d", "home", "d")
        assert app.session.source.rules() == ()


class Watching(Demo):
    """--observe-only."""

    async def add_rule(self, interface: str, rule: DropRule) -> Enforced:
        why = f"{rule.what} on {interface} would sit in the data path"
        raise Denied(why, errno=1, remedy="without --observe-only")


class Guarded(Demo):
    """One came by this connection."""

    async def add_rule(self, interface: str, rule: DropRule) -> Enforced:
        raise RuleError(f"{rule.what} on {interface} matches the SSH connection from 198.51.100.7")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (Watching, "proto icmp on eth1 would sit in the data path (EPERM). without --observe-only"),
        (Guarded, "icmp on eth1 matches the SSH connection from 198.51.100.7"),
    ],
)
async def test_a_refusal_is_a_toast_and_in_the_log(source: type[Demo], words: str) -> None:
    async with playing(source=source) as (app, pilot):
        await _press(pilot, "D")
        await _type(pilot, "icmp")
        await _press(pilot, "enter", "y")
        assert any("rule not added" in t and words in t for t in _toasts(app))
        assert any(t.startswith("eth1: rule not added") for t in _log(app))
        assert "DROPPING" not in text(app)


async def test_the_loopback_takes_no_rule() -> None:
    async with playing() as (app, pilot):
        app.table.select([r.name for r in app.table.rows].index("lo"))
        await _press(pilot, "D")
        await _type(pilot, "udp")
        await _press(pilot, "enter", "y")
        assert any(t.startswith("lo: rule not added: the loopback") for t in _toasts(app))


CAUTION = "your next login from 198.51.100.7 to port 22 would be dropped too"


class Careful(Demo):
    """One comes by a connection that a rule may cut off, which takes a moment to find out."""

    known = asyncio.Event()

    async def cautions(self, interface: str, rule: DropRule) -> tuple[str, ...]:
        await self.known.wait()
        return (CAUTION,) if interface == "eth1" and rule.protocol == 6 else ()


async def test_what_could_lock_one_out_is_said_before_yes_can_be() -> None:
    """A y that comes too early is none; then the whole sentence is there, and y adds the rule."""
    Careful.known = asyncio.Event()
    async with playing(source=Careful) as (app, pilot):
        await _press(pilot, "D")
        await _type(pilot, "tcp dport 22")
        await _press(pilot, "enter", "y")
        assert "looking for your own connection" in " ".join(text(app).split())
        assert CAUTION not in text(app)
        Careful.known.set()
        await _press(pilot, "left")
        asked = " ".join(text(app).split())
        assert "Drop every TCP packet to port 22 that arrives on eth1" in asked
        assert f"CAUTION: {CAUTION}." in asked
        assert "(y: yes, N: no)" in asked
        assert app.session.source.rules() == ()
        await _press(pilot, "y")
        assert [e.rule.what for e in app.session.source.rules()] == ["tcp dport 22"]


async def test_a_question_that_was_left_does_not_come_back_with_what_was_found() -> None:
    Careful.known = asyncio.Event()
    async with playing(source=Careful) as (app, pilot):
        await _press(pilot, "D")
        await _type(pilot, "tcp dport 22")
        await _press(pilot, "enter", "escape")
        Careful.known.set()
        await _press(pilot, "left")
        assert app.prompt.question is None
        assert CAUTION not in text(app)


async def test_what_a_rule_of_the_command_line_could_cut_off_is_a_toast() -> None:
    Careful.known = asyncio.Event()
    Careful.known.set()

    class Begun(Careful):
        async def start(self) -> None:
            await super().start()
            await self.add_rule("eth1", parse("tcp ttl 1h"))

    async with playing(source=Begun) as (app, pilot):
        await step(pilot)
        assert any(CAUTION in said for said in _toasts(app))
        assert any(CAUTION in said for said in _log(app))


class Fallen(Demo):
    """What enforced the rules has been taken away by somebody."""

    gone = False

    def rules(self) -> tuple[Enforced, ...]:
        note = "somebody detached it"
        return tuple(replace(e, rung=None, note=note) if self.gone else e for e in super().rules())


async def test_a_rule_that_nothing_enforces_any_more_says_so() -> None:
    """In the banner, in a toast, in the log; it never looks as if it still dropped."""
    async with playing(size=(80, 24), source=Fallen) as (app, pilot):
        await _dropping(app, pilot)
        app.session.source.gone = True  # type: ignore[attr-defined]
        await step(pilot)
        assert text(app).splitlines()[BANNER].startswith(" NOT DROPPING eth1:")
        assert any("no longer enforced: somebody detached it" in t for t in _toasts(app))
        assert sum("no longer enforced" in t for t in _log(app)) == 1


async def test_rules_that_were_there_before_the_screen_are_logged() -> None:
    """Those of --drop."""

    class Begun(Demo):
        async def start(self) -> None:
            await super().start()
            await self.add_rule("eth0", parse("icmp ttl 1h"))

    async with playing(source=Begun) as (app, _):
        assert "DROPPING eth0: proto icmp" in text(app)
        assert any("eth0: dropping proto icmp on xdp-generic" in t for t in _log(app))
