"""System calls by the architecture's own table."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from probes.kernel import syscall_table

HEADER = Path(f"/usr/include/{os.uname().machine}-linux-gnu/asm/unistd_64.h")


@pytest.mark.skipif(not HEADER.exists(), reason="linux-libc-dev is not installed")
def test_the_table_agrees_with_the_header_that_is_installed() -> None:
    defines = re.findall(r"^#define __NR_(\w+) (\d+)$", HEADER.read_text(), re.MULTILINE)
    assert len(defines) > 300
    for name, nr in defines:
        assert syscall_table.name(int(nr)) == name
        assert syscall_table.number(name) == int(nr)


@pytest.mark.parametrize(
    ("table", "numbers"),
    [
        (
            syscall_table._X86_64,
            {0: "read", 59: "execve", 257: "openat", 424: "pidfd_send_signal"},
        ),
        (
            syscall_table._AARCH64,
            {63: "read", 221: "execve", 56: "openat", 424: "pidfd_send_signal"},
        ),
    ],
)
def test_well_known_numbers(table: str, numbers: dict[int, str]) -> None:
    parsed = syscall_table.parse(table)
    assert numbers.items() <= parsed.items()
    assert len(set(parsed.values())) == len(parsed)


def test_what_is_not_in_the_table_is_shown_by_number_and_found_by_it() -> None:
    assert syscall_table.name(99999) == "#99999"
    assert syscall_table.name(-1) == "#-1"
    assert syscall_table.number("#99999") == 99999
    assert syscall_table.number("no_such_call") is None


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the tables of x86")
def test_calls_through_another_table_have_its_names_and_a_mark() -> None:
    """i386's 20 is getpid, which is 39 in the machine's own table, where 20 is writev."""
    assert syscall_table.name(syscall_table.COMPAT | 20) == "32-bit getpid"
    assert syscall_table.name(syscall_table.COMPAT | 9999) == "32-bit #9999"
    assert syscall_table.name(syscall_table.X32 | 39) == "x32 getpid"
    for name in ("32-bit getpid", "32-bit #9999", "x32 getpid", "x32 #9999", "writev"):
        number = syscall_table.number(name)
        assert number is not None
        assert syscall_table.name(number) == name
    assert syscall_table.number("32-bit no_such_call") is None


def test_an_unknown_machine_has_numbers_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syscall_table, "_names", lambda: syscall_table.parse(""))
    assert syscall_table.name(0) == "#0"
