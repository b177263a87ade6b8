"""Facts about a process for the user: its command line, its user, and since when it runs."""

from __future__ import annotations

from probes.model import ProcessFacts
from probes.units import printable

_MOST = 1 << 10
"""Characters of a command line."""


def process_facts(pid: int) -> ProcessFacts | None:
    """Return what is known of a process; None: it has gone, or there is no /proc.

    For a few processes, when somebody asks: psutil is loaded then, and reads some ten files.
    """
    import psutil

    try:
        process = psutil.Process(pid)
        known = process.as_dict(("cmdline", "name", "username", "create_time"))
    except (psutil.Error, OSError, ValueError):
        return None
    words = known["cmdline"] or [f"[{known['name']}]"]  # a kernel thread has none
    return ProcessFacts(
        printable(" ".join(words)[:_MOST]),
        printable(known["username"] or ""),
        known["create_time"] or 0.0,
    )
