"""Switches what a device's driver joins or cuts, as `ethtool -K` does.

python -m tests.support.offload INTERFACE tso|gro on|off
"""

from __future__ import annotations

import array
import fcntl
import socket
import struct
import sys

_SIOCETHTOOL = 0x8946  # include/uapi/linux/sockios.h
_COMMANDS = {"tso": 0x1F, "gro": 0x2C}  # include/uapi/linux/ethtool.h: ETHTOOL_STSO, ETHTOOL_SGRO


def switch(interface: str, feature: str, on: str) -> None:
    value = array.array("I", [_COMMANDS[feature], on == "on"])
    request = struct.pack("=16sQ16x", interface.encode(), value.buffer_info()[0])
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCETHTOOL, request)


if __name__ == "__main__":
    switch(*sys.argv[1:])
