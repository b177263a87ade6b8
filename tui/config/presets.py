"""Presets: a named pane with its sort order and filter, reached by one key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

FIELDS: Mapping[str, type] = {
    "pane": str, "sort": str, "filter": str, "units": str, "zoom": bool, "help": str,
}  # fmt: skip
"""Keys that a preset in the settings may have, and their types."""


@dataclass(frozen=True, slots=True)
class Preset:
    """A pane as it is to be shown, under a name.

    pane: its name, "" for the current one. sort: a column, "-" before it for descending; "":
    unchanged. filter: text of the filter line. units: "bytes", "bits" or "".
    """

    name: str
    pane: str = ""
    sort: str = ""
    filter: str = ""
    units: str = ""
    zoom: bool = False
    help: str = ""


def built_in(first: str) -> tuple[Preset, ...]:
    """Return the presets that come with the program. first: the name of the first pane."""
    return (
        Preset("overview", first, help="the first pane, nothing filtered, nothing zoomed"),
        Preset("network", "interfaces", "-drops", help="interfaces, most drops first"),
        Preset("connects", "connects", "-failed_per_s", help="destinations, most failures first"),
        Preset("latency", "rtt", "-srtt_us", help="connections, longest round trip first"),
        Preset("syscalls", "syscalls", "-errors_per_s", help="calls, most errors first"),
        Preset("table", zoom=True, help="this pane's table alone"),
    )


def sorting(text: str) -> tuple[str, bool]:
    """Split a preset's sort into the column and whether it is descending."""
    return text.removeprefix("-"), text.startswith("-")
