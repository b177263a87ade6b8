"""Netlink requests that change something, or are rare: the only place that uses pyroute2."""

from __future__ import annotations


def prepare() -> None:
    """Import what `change` needs, which takes seconds on a busy host."""
    import pyroute2.netlink.exceptions  # noqa: F401 - for later


def change(method: str, *args: object, **what: object) -> tuple[int, str]:
    """Call a method of `pyroute2.IPRoute`; return the errno (0: done) and the kernel's own words.

    Works on the network namespace of the calling thread.
    """
    from pyroute2 import IPRoute  # 0.15 s to import, so only when something is changed
    from pyroute2.netlink.exceptions import NetlinkError

    with IPRoute(ext_ack=True) as ip:
        try:
            getattr(ip, method)(*args, **what)
        except NetlinkError as refused:
            return refused.code, str(refused.args[1])
    return 0, ""


def wireguard_port(interface: str) -> int | None:
    """Return the UDP port that a WireGuard interface listens on; None where it is unavailable.

    CAP_NET_ADMIN. Linux 5.6.
    """
    from pyroute2 import WireGuard
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        with WireGuard() as wireguard:
            (device,) = wireguard.info(interface)
            port: int | None = device.get_attr("WGDEVICE_A_LISTEN_PORT")
            return port
    except (NetlinkError, OSError, ValueError):
        return None
