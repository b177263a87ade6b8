"""What tracefs tells of a tracepoint, from files as kernels write them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from probes.kernel import btf, tracefs

HEAD = """name: kfree_skb
ID: 2310
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

\tfield:void * skbaddr;\toffset:8;\tsize:8;\tsigned:0;
\tfield:__u8 saddr[4];\toffset:16;\tsize:4;\tsigned:0;
\tfield:unsigned short protocol;\toffset:20;\tsize:2;\tsigned:0;
"""
REASON = "\tfield:enum skb_drop_reason reason;\toffset:24;\tsize:4;\tsigned:0;\n"
PRINT = 'print fmt: "skbaddr=%p protocol=%u", REC->skbaddr, REC->protocol'
PRINT_REASON = (
    'print fmt: "protocol=%u reason: %s", REC->protocol, __print_symbolic(REC->reason, '
    '{ 2, "NOT_SPECIFIED" }, { 0x3, "NO_SOCKET" }), __print_symbolic(REC->family, { 9, "X" })'
)


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    monkeypatch.setattr(tracefs, "ROOTS", (tmp_path / "not mounted", tmp_path))
    tracefs.symbols.cache_clear()
    yield tmp_path
    tracefs.symbols.cache_clear()


def write(root: Path, text: str) -> None:
    place = root / "events" / "skb" / "kfree_skb"
    place.mkdir(parents=True)
    (place / "format").write_text(text)


def test_a_record_is_laid_out_as_the_format_says(root: Path) -> None:
    write(root, f"{HEAD}{REASON}\n{PRINT_REASON}\n")
    assert tracefs.record("trace_event_raw_kfree_skb") == (
        "struct trace_event_raw_kfree_skb { u16 common_type; u8 gap_2[2]; u32 common_pid; "
        "u64 skbaddr; u8 saddr[4]; u16 protocol; u8 gap_22[2]; u32 reason; };\n"
    )


def test_what_is_no_tracepoint_s_record_has_none(root: Path) -> None:
    write(root, f"{HEAD}\n{PRINT}\n")
    assert tracefs.record("sk_buff") == tracefs.record("trace_event_raw_other") == ""


def test_values_have_the_names_that_are_printed(root: Path) -> None:
    write(root, f"{HEAD}{REASON}\n{PRINT_REASON}\n")
    named = tracefs.symbols("skb", "kfree_skb", "reason")
    assert named == {2: "NOT_SPECIFIED", 3: "NO_SOCKET"}


def test_a_field_that_is_not_there_has_no_names_and_no_tracefs_is_no_answer(root: Path) -> None:
    assert tracefs.symbols("skb", "kfree_skb", "reason") is None
    tracefs.symbols.cache_clear()
    write(root, f"{HEAD}\n{PRINT}\n")
    assert tracefs.symbols("skb", "kfree_skb", "reason") == {}


def test_this_kernel_s_drop_reasons_are_those_of_its_type_information() -> None:
    printed, typed = tracefs.symbols("skb", "kfree_skb", "reason"), btf.enum("skb_drop_reason")
    if not printed or not typed:
        pytest.skip("tracefs is not readable, or there is no BTF or no reasons")
    assert {f"SKB_DROP_REASON_{name}" for name in printed.values()} <= set(typed.values())
    assert all(typed[number] == f"SKB_DROP_REASON_{name}" for number, name in printed.items())
