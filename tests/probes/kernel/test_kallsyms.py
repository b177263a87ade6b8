"""Kernel symbols as /proc/kallsyms gives them to this user."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from probes.kernel import kallsyms


def _functions() -> list[tuple[int, str]]:
    """(address, name) of all code but BPF's, in the file's order; without the modules' names."""
    split = map(str.split, Path("/proc/kallsyms").read_text().splitlines())
    return [(int(f[0], 16), f[2]) for f in split if f[1] in "tTwW" and f[3:] != ["[bpf]"]]


@pytest.fixture
def functions() -> list[tuple[int, str]]:
    found = _functions()
    if not any(address for address, _ in found):
        pytest.skip("kptr_restrict hides the addresses from this user")
    return found


def test_an_address_is_its_function_and_offset(functions: list[tuple[int, str]]) -> None:
    """Of several names at one address the first counts, as in the kernel's own messages."""
    first: dict[int, str] = {}
    aliased: list[int] = []
    for address, name in functions:
        if first.setdefault(address, name) != name:
            aliased.append(address)
    starts = sorted(first)
    some = set(starts[100 : len(starts) - 1 : len(starts) // 200] + aliased[:20])
    wanted = {address: f"{first[address]}+0x0" for address in some}
    wanted |= {
        following - 1: f"{first[address]}+0x{following - 1 - address:x}"
        for address, following in pairwise(starts)
        if address in some and following - address < 1 << 16
    }
    assert kallsyms.resolve(wanted) == wanted
    assert kallsyms.resolve(list(wanted)[:3]) == {a: wanted[a] for a in list(wanted)[:3]}


def test_what_is_no_function_stays_a_number() -> None:
    assert kallsyms.resolve([5, (1 << 64) - 1]) == {5: "0x5", (1 << 64) - 1: "0xffffffffffffffff"}
    assert kallsyms.resolve([]) == {}


def test_hidden_addresses_stay_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As kptr_restrict shows them: names with an address of zero."""
    hidden = tmp_path / "kallsyms"
    hidden.write_text("0000000000000000 T tcp_v4_connect\n0000000000000000 t tcp_ack\n")
    monkeypatch.setattr(kallsyms, "_KALLSYMS", hidden)
    monkeypatch.setattr(kallsyms, "_table", None)
    assert kallsyms.resolve([0xFFFFFFFF81000010]) == {0xFFFFFFFF81000010: "0xffffffff81000010"}


def test_bpf_programs_are_left_out_since_others_get_their_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "kallsyms"
    file.write_text(
        f"{1 << 40:016x} t first\n{(1 << 40) + 8:016x} t bpf_prog_58e1fcd965c24b15_acme\t[bpf]\n"
        f"{(1 << 40) + 64:016x} t later\t[veth]\n"
    )
    monkeypatch.setattr(kallsyms, "_KALLSYMS", file)
    monkeypatch.setattr(kallsyms, "_table", None)
    wanted = {(1 << 40) + 16: "first+0x10", (1 << 40) + 65: "later+0x1"}
    assert kallsyms.resolve(wanted) == wanted


def test_without_kallsyms_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kallsyms, "_KALLSYMS", tmp_path / "none")
    monkeypatch.setattr(kallsyms, "_table", None)
    assert kallsyms.resolve([0xABC]) == {0xABC: "0xabc"}
    assert kallsyms.copies("no_kallsyms_here") is None


def test_a_function_is_found_under_just_its_name() -> None:
    assert kallsyms.copies("tcp_v4_connect") == ("tcp_v4_connect",)
    assert kallsyms.copies("tcp_v4_connec") == ()
    assert kallsyms.copies(".*") == ()


def test_copies_and_parts_by_the_compiler_are_found_as_often_as_they_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a line crosses the pieces that are read, and in a module."""
    file = tmp_path / "kallsyms"
    names = [
        "aa.isra.0",
        "bb.part.0",
        "bb.constprop.0.isra.0",
        "bb.part.0",
        "bb",
        "cc.cold",
        "ddd.isra.0",
        "ee.llvm.1",
    ]
    filler = "".join(f"{i:016x} t f{i}\n" for i in range(1, 20_000))
    lines = "".join(f"{i + (1 << 40):016x} t {name}\t[mod]\n" for i, name in enumerate(names))
    file.write_text(filler + lines)
    monkeypatch.setattr(kallsyms, "_KALLSYMS", file)
    monkeypatch.setattr(kallsyms, "_CHUNK", 1000)
    monkeypatch.setattr(kallsyms, "_table", None)
    found = {name: kallsyms.copies(name) for name in ("aa", "bb", "cc", "dd", "ee")}
    assert found == {
        "aa": ("aa.isra.0",),
        "bb": ("bb", "bb.constprop.0.isra.0", "bb.part.0", "bb.part.0"),
        "cc": (),
        "dd": (),
        "ee": ("ee.llvm.1",),
    }


def test_this_kernel_s_own_copies_are_found() -> None:
    names = {name for _, name in _functions() if name.endswith(".isra.0")}
    for symbol in sorted(n for n in names if not n.startswith("__pfx"))[:3]:
        assert symbol in (kallsyms.copies(symbol.removesuffix(".isra.0")) or ())


def test_symbols_are_read_again_when_modules_have_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes later may lie between two functions; how often it is used changes nothing."""
    symbol_file, modules = tmp_path / "kallsyms", tmp_path / "modules"
    monkeypatch.setattr(kallsyms, "_KALLSYMS", symbol_file)
    monkeypatch.setattr(kallsyms, "_MODULES", modules)
    monkeypatch.setattr(kallsyms, "MODULES_SECONDS", 0.0)
    monkeypatch.setattr(kallsyms, "_table", None)
    symbol_file.write_text(f"{1 << 40:016x} t first\n")
    modules.write_text("one 4096 1 - Live 0x10\n")
    assert kallsyms.resolve([(1 << 40) + 32]) == {(1 << 40) + 32: "first+0x20"}
    symbol_file.write_text(f"{1 << 40:016x} t first\n{(1 << 40) + 16:016x} t second\t[two]\n")
    modules.write_text("one 4096 2 - Live 0x10\n")
    assert kallsyms.resolve([(1 << 40) + 32]) == {(1 << 40) + 32: "first+0x20"}
    modules.write_text("one 4096 2 - Live 0x10\ntwo 4096 1 - Live 0x20\n")
    assert kallsyms.resolve([(1 << 40) + 32]) == {(1 << 40) + 32: "second+0x10"}
