"""Interfaces that packets were dropped at: by name, as long as it is still the same device."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from probes.errors import Gone
from probes.kernel.netlink import route
from probes.model import Opening
from probes.toolkit.interface_names import interface_name
from probes.toolkit.links import interface_in
from probes.units import DASH

Device = tuple[int, int]
"""A device's number, and an identity that tells it from the next with that number (0.

Not known).
"""


class Devices:
    """Names of this network namespace's devices, in the order in which they had a number.

    The names of those that are gone are not known. A device that moved to another namespace and
    came back is the same device.
    """

    def __init__(self, opening: Opening, own: int) -> None:
        self._own = own
        self._changes = route.Changes()
        opening.stack.callback(self._changes.close)
        self._known: Mapping[Device, int] = {}
        self._gone: dict[Device, int | None] = {}

    def look(self, found: Mapping[Device, int]) -> None:
        """Update the devices.

        found: drops at each device. One that is new now is the device that has the number at
        present.
        """
        # What was dropped before it went may be read after: it counts from the next reading on.
        self._gone = {
            at: packets if before is None else before
            for at, before in self._gone.items()
            if (packets := found.get(at)) is not None and (before is None or packets <= before)
        }
        gone = self._changes.gone()
        self._gone |= {at: None for at in self._known if at[0] in gone}
        self._known = found

    def name(self, ifindex: int, device: int, netns: int) -> str:
        if not ifindex:
            return DASH
        at = ifindex, device
        if netns == self._own and at in self._gone and not _is_there(at):
            return f"if{ifindex}"
        return interface_in(ifindex, netns, self._own)


def _is_there(at: Device) -> bool:
    """Return whether sysfs shows this very device, by the inode of its folder."""
    ifindex, device = at
    try:
        return Path("/sys/class/net", interface_name(ifindex)).stat().st_ino == device
    except (OSError, Gone):
        return False
