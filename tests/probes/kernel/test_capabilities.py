"""Capabilities by name."""

from __future__ import annotations

import pytest

from probes.kernel import capabilities


def test_every_capability_that_may_be_missing_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capabilities, "effective", lambda: 0)
    wanted = sorted({*capabilities.USED, capabilities.NET_RAW})
    assert capabilities.missing(*wanted) == (
        "CAP_DAC_READ_SEARCH",
        "CAP_NET_ADMIN",
        "CAP_NET_RAW",
        "CAP_SYS_PTRACE",
        "CAP_SYS_ADMIN",
        "CAP_SYSLOG",
        "CAP_PERFMON",
        "CAP_BPF",
    )


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("/usr/bin/ebpftop", "sudo"),
        ("/usr/local/bin/ebpftop", "sudo"),
        ("/home/ops/.local/bin/ebpftop", "sudo /home/ops/.local/bin/ebpftop"),
        ("/home/a b/ebpftop-0.1.0", "sudo '/home/a b/ebpftop-0.1.0'"),
        ("/usr/lib/python3/dist-packages/pytest/__main__.py", "sudo"),
    ],
)
def test_sudo_is_told_where_it_would_not_look(command: str, said: str) -> None:
    assert capabilities.by_sudo(command) == said
