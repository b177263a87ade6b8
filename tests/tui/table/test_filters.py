"""The filter line: what is kept, what is no filter and why, what Tab makes of a name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from probes.sources.demo.scenario import Script
from probes.units import Unit
from tests.support.stage import Played, playing, settle, step, text
from tui.table.fields import Field, TableRow
from tui.table.filters import FilterError, complete, parse, reading
from tui.toolkit import related

FIELDS = (
    Field("place", "#", Unit.NUMBER),
    Field("comm", "Command", Unit.TEXT),
    Field("raddr", "Remote", Unit.TEXT),
    Field("rport", "Port", Unit.NUMBER),
    Field("srtt_us", "SRTT", Unit.US),
    Field("p99_ns", "p99", Unit.NS),
    Field("drops_per_s", "Drops/s", Unit.PACKETS),
    Field("rx_bytes_per_s", "RX/s", Unit.BYTES),
    Field("tx_bytes_per_s", "TX/s", Unit.BYTES),
    Field("share", "Fail", Unit.PERCENT),
)


def _row(**values: object) -> TableRow:
    every = {
        "place": 1, "comm": "nginx: worker", "raddr": "10.0.0.5", "rport": 443,
        "srtt_us": 60_000, "p99_ns": 2_500_000, "drops_per_s": 1500.0,
        "rx_bytes_per_s": 12 * 1024**2, "tx_bytes_per_s": 10.0, "share": 7.5,
    }  # fmt: skip
    return TableRow("key", "nginx: worker", {**every, **values})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("", True), ("  ! ", True),
        ("nginx", True), ("NGINX 443", True), ("curl", False), ("!curl", True), ("!nginx", False),
        ('"nginx: w"', True), ('"nginx: x"', False),
        ("10.0.0.5:443", False), ("fe80::1", False), ("!fe80::1", True),  # words, not columns
        ("comm:ngin", True), ("command:curl", False), ("!comm:curl", True),
        ('comm="nginx: worker"', True), ("comm=nginx", False), ("comm!=nginx", True),
        ("raddr:10.0", True), ("rem:10.9", False),
        ("port:443", True), ("port:44", False), ("rport=443", True), ("port!=443", False),
        ("rport>1000", False), ("port<=443", True),
        ("srtt>50ms", True), ("rtt>50ms", True), ("srtt>0.06s", False), ("srtt>=60000us", True),
        ("p99>2ms", True), ("p99<2500us", False), ("p99<=2500µs", True),
        ("drops>1k", True), ("drops>1.5k/s", False), ("drops/s>=1500", True), ("drops<1M", True),
        ("rx>=10MB", True), ("rx>=12MiB", True), ("rx>100Mb", True), ("rx>110Mb", False),
        ("rx>1g", False), ("bytes>=10MB", True), ("!bytes>=10MB", False), ("tx_bytes>1k", False),
        ("fail>5%", True), ("fail>5", True), ("share>8%", False),
        ("srtt>50ms fail<5%", False), ("srtt>50ms !fail<5%", True),
    ],
)  # fmt: skip
def test_what_is_kept(written: str, kept: bool) -> None:
    """Every condition must hold."""
    keep = parse(written, FIELDS)
    assert (keep is None or keep(_row())) is kept


def test_what_is_not_known_is_neither_above_nor_below() -> None:
    """And it can be asked for."""
    row = _row(srtt_us=None)
    for written, kept in (
        ("srtt>0", False), ("srtt<1s", False), ("!srtt>0", True), ("srtt:-", True),
        ("srtt=-", True), ("srtt!=-", False),
    ):  # fmt: skip
        keep = parse(written, FIELDS)
        assert keep is not None
        assert keep(row) is kept, written


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("srtt>", "srtt> what? such as srtt_us>50ms"),
        ("srtt>50", "give the unit of SRTT: such as srtt_us>50ms"),
        ("srtt>50MB", "'MB' is not a unit of SRTT: such as srtt_us>50ms"),
        ("srtt>fast", "'fast' is not a number for SRTT"),
        ("drops>1ms", "'ms' is not a unit of Drops/s: such as drops>1k"),
        ("fail>5k", "'k' is not a unit of Fail: such as share>5%"),
        ("comm>5", "comm is text: comm:5 or comm=5"),
        ("latency>5ms", "there is no column 'latency'; columns are comm, raddr, rport, srtt_us"),
        ("port>x", "'x' is not a number for Port: such as rport>80"),
    ],
)
def test_what_is_no_filter_is_said_in_a_sentence(written: str, words: str) -> None:
    """With what would be one."""
    with pytest.raises(FilterError) as caught:
        parse(written, FIELDS)
    assert words in str(caught.value)
    assert reading(written, FIELDS) == (f"! {caught.value}", "bad")


@pytest.mark.parametrize(
    ("written", "there", "kept"),
    [
        ("enp3s0np0", "eth1", True), ("ENP3s0np0", "eth1", True), ("enp3s0np0", "eth10", False),
        ("enp3s0np0", "eth1.7", True), ("enp3s0np0", "br-eth1", False),
        ("!enp3s0np0", "eth1", False),
        ("comm:enp3s0np0", "eth1", True), ("comm=enp3s0np0", "eth1", True),
        ("comm=enp3s0np0", "eth1.7", False), ("comm!=enp3s0np0", "eth1", False),
        ("comm!=enp3s0np0", "eth2", True), ("enp3s0", "eth1", False), ("comm=eth1", "eth1", True),
    ],
)  # fmt: skip
def test_an_alternative_name_finds_the_interface(written: str, there: str, kept: bool) -> None:
    keep = parse(written, FIELDS, lambda: {"enp3s0np0": "eth1"})
    assert keep is not None
    assert keep(_row(comm=there)) is kept


def test_an_alternative_name_may_come_later() -> None:
    """Presets are there before the first reading."""
    names: dict[str, str] = {}
    keep = parse("wan", FIELDS, lambda: names)
    assert keep is not None
    assert not keep(_row(comm="eth1"))
    names["wan"] = "eth1"
    assert keep(_row(comm="eth1"))
    assert reading("wan", FIELDS, lambda: names) == ('= "wan" (eth1) anywhere', "muted")


def test_the_reading_says_what_will_be_kept() -> None:
    """Names, bounds and units as the table shows them."""
    said, role = reading('rtt>50ms !curl comm:"a b" bytes>10MB', FIELDS)
    assert role == "muted"
    assert said == (
        '= SRTT above 50.0ms and not "curl" anywhere and Command has "a b" '
        "and (RX/s above 10.0MB or TX/s above 10.0MB)"
    )


@pytest.mark.parametrize(
    ("typed", "made", "hint"),
    [
        ("co", "comm:", ""),
        ("nginx !sr", "nginx !srtt_us>", ""),
        ("rtt", "srtt_us>", ""),
        ("r", "r", "raddr, rport, rx_bytes"),
        ("tx", "tx_bytes>", ""),
        ("bytes", "bytes", "rx_bytes, tx_bytes"),
        ("zz", "zz", "no column has 'zz' in its name"),
        ("srtt>5", "srtt>5", ""),
    ],
)
def test_tab_completes_columns(typed: str, made: str, hint: str) -> None:
    """As far as it is clear; then it says what there is."""
    got, said = complete(typed, FIELDS)
    assert got == made
    assert said == hint


async def test_a_wrong_filter_leaves_the_rows_and_is_not_taken() -> None:
    """While it is typed the sentence stands below; Enter waits for a right one."""
    async with playing(size=(120, 40)) as (app, pilot):
        await pilot.press("5", "slash", *"rtt>50")
        await settle(pilot)
        every = app.table.counts[1]
        assert "give the unit of SRTT" in text(app)
        await pilot.press("enter")
        assert app.prompt.question is not None
        await pilot.press(*"ms", "enter")
        await settle(pilot)
        assert app.prompt.question is None
        assert 0 < app.table.counts[1] < every
        assert all(r.number("srtt_us") > 50_000 for r in app.table.rows)


async def test_the_filter_is_edited_in_the_middle_and_completed() -> None:
    """Arrows, Home, End, Delete, ^W; Tab names the column."""
    async with playing(size=(120, 40)) as (app, pilot):
        await pilot.press("5", "slash", *"50ms", "home", *"srt", "tab")
        assert app.prompt.question is not None
        assert app.prompt.question.answer == "srtt_us>50ms"
        await pilot.press("end", "space", *"nginx x", "ctrl+w", "ctrl+w", "left", "backspace")
        await pilot.press("delete", *"s")
        assert app.prompt.question.answer == "srtt_us>50ms"


async def test_alternative_names_come_from_the_interfaces_that_are_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On every pane; a name that an interface has is its own, whoever has it as another."""
    plain = Script._interfaces

    def named(*asked: Any) -> Iterator[Any]:
        for values in plain(*asked):
            yield {**values, "altnames": "WAN eth1" if values["interface"] == "eth0" else ""}

    monkeypatch.setattr(Script, "_interfaces", named)
    monkeypatch.setattr(Played, "_PARTS", {})  # what other tests have calculated is without
    async with playing(size=(120, 40)) as (app, pilot):
        await step(pilot)
        await pilot.press("2", "slash", *"wan")
        await settle(pilot)
        assert '"wan" (eth0) anywhere' in text(app)
        assert [r.name for r in app.table.rows] == ["eth0"]
        assert related.altnames(app.session.view) == {"wan": "eth0"}
