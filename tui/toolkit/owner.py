"""Owner of a row's process, in tables and details: container, unit and network namespace."""

from __future__ import annotations

from probes.analysis.netns_names import named
from probes.units import Unit
from tui.table.fields import Field, TableRow

OWNER = ("container", "unit", "netns_name")
"""The columns of rows that have an owner."""
_HOST = "host"
"""The namespace that is not worth a word."""


def owner_fields() -> tuple[Field, ...]:
    """Return their fields: the container where there is room, the others to filter and sort by."""
    return (
        Field("container", "Container", Unit.TEXT, 14, 9, 36, "container of the process"),
        Field("unit", "Unit", Unit.TEXT, 0, 9, help="systemd unit of the process"),
        Field("netns_name", "NetNS", Unit.TEXT, 0, 9, help="network namespace of the process"),
    )


def owner_of(record: TableRow) -> list[tuple[str, str]]:
    """Return what is known of a record's owner, for a detail; nothing where nothing is."""
    container, unit, namespace = map(record.text, OWNER)
    known = (
        f"container {container}" if container else "",
        unit,
        "" if namespace in ("", _HOST) else named(namespace),
    )
    return [("Owner", ", ".join(filter(None, known)))] if any(known) else []
