"""`--netns`: this process enters a network namespace before it looks at anything."""

from __future__ import annotations

import argparse

from probes.errors import Gone
from tui.commands._run import UsageError


def enter(arguments: argparse.Namespace, told: str) -> None:
    """Enter it, before any thread or child is started. Raises UsageError, Denied.

    With `--remote` the namespace is one of the other host, and the ebpftop there enters it.
    """
    if getattr(arguments, "remote", None):
        return
    from probes.owners.enter_netns import enter

    try:
        enter(told)
    except Gone as missing:
        raise UsageError(missing.why) from None
