"""Namespaces that end with what is done in them: network, mounts and processes of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support.incidents import cgroup
from tests.support.incidents.values import HOST_NET

ROOT = Path(__file__).parents[3]
_SET_UP = """
ip link set lo up
mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns
mount -t tmpfs tmpfs /mnt && export TMPDIR=/mnt
[ -d /sys/kernel/tracing/events ] || mount -t tracefs tracefs /sys/kernel/tracing || true
exec "$@"
"""


def command(module: str, arguments: Sequence[str]) -> list[str]:
    """What runs `python -m module` there, and ends with us. No name is seen from outside."""
    with_us = ["setpriv", "--pdeathsig", "KILL"]
    held = ["sh", "-c", f'exec {HOST_NET}</proc/self/ns/net; exec "$@"', "-"]
    apart = [
        *held,
        *with_us,
        "unshare",
        "-nmpf",
        "--mount-proc",
        "--kill-child",
        "sh",
        "-ec",
        _SET_UP,
        "-",
    ]
    return [*apart, sys.executable, "-m", module, *arguments]


def call(module: str, *arguments: str, timeout: float) -> subprocess.CompletedProcess[str]:
    """Run it to its end; what it says on both streams."""
    try:
        return subprocess.run(
            command(module, arguments), cwd=ROOT, text=True, timeout=timeout, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
    finally:
        cgroup.sweep()
