"""Presets: a pane with what it is sorted and filtered by, under a name, to go to by one key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

FIELDS: Mapping[str, type] = {
    "pane": str, "sort": str, "filter": str, "units": str, "zoom": bool, "help": str,
}  # fmt: skip
"""What a preset in the settings may have, and of which type."""


@dataclass(frozen=True, slots=True)
class Preset:
    """pane: its name, "" for the one that is looked at. sort: a column, "-" before it for the
    greatest first; "": as it is. filter: what the filter line has. units: "bytes", "bits" or "".
    """

    name: str
    pane: str = ""
    sort: str = ""
    filter: str = ""
    units: str = ""
    zoom: bool = False
    help: str = ""


def built_in(first: str) -> tuple[Preset, ...]:
    """Those that come with the program. first: the name of the first pane."""
    return (
        Preset("overview", first, help="the first pane, nothing filtered, nothing zoomed"),
        Preset("network", "interfaces", "-drops", help="interfaces, who drops most first"),
        Preset("connects", "connects", "-failed_per_s", help="destinations that fail first"),
        Preset("latency", "rtt", "-srtt_us", help="connections, the longest round trip first"),
        Preset("syscalls", "syscalls", "-errors_per_s", help="calls, most errors first"),
        Preset("table", zoom=True, help="this pane's table alone"),
    )


def sorting(text: str) -> tuple[str, bool]:
    """A column, and whether from the greatest."""
    return text.removeprefix("-"), text.startswith("-")
