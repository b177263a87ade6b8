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


def test_calls_through_i386_s_table_are_never_given_this_table_s_names() -> None:
    assert syscall_table.name(syscall_table.I386 | 4) == "i386 #4"
    assert syscall_table.number("i386 #4") == syscall_table.I386 | 4


def test_an_unknown_machine_has_numbers_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syscall_table, "_names", lambda: syscall_table.parse(""))
    assert syscall_table.name(0) == "#0"
