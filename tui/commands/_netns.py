"""`--netns`: this process enters a network namespace before it looks at anything."""

from __future__ import annotations

import argparse

from probes.errors import Gone
from tui.commands._run import UsageError


def enter(arguments: argparse.Namespace, told: str) -> None:
    """Enter it, before any thread or child is started. Raises UsageError, Denied."""
    if getattr(arguments, "remote", None):
        raise UsageError(
            "--netns is for this host; for another one: "
            "--remote-command 'sudo ip netns exec NAME ebpftop'"
        )
    from probes.owners.enter_netns import enter

    try:
        enter(told)
    except Gone as missing:
        raise UsageError(missing.why) from None
