"""Kernel parameters are those of /proc/sys, and nothing else is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from probes.kernel import sysctl


def test_it_is_what_proc_says() -> None:
    assert (
        sysctl.value("net.core.somaxconn")
        == Path("/proc/sys/net/core/somaxconn").read_text().strip()
    )
    low, high = (sysctl.value("net.ipv4.ip_local_port_range") or "").split(" ")
    assert int(low) < int(high)


@pytest.mark.parametrize("name", ["net.core.nosuch", "net", "../../etc/passwd", "net/core/x.y", ""])
def test_what_is_no_parameter_has_no_value(name: str) -> None:
    assert sysctl.value(name) is None
