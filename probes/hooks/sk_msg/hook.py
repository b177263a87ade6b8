"""Messages: what processes pass to each local TCP socket, and how much, before TCP segments it.

Intrusive: every connection established meanwhile is put into a sockhash, whose program every
message passes. It lets all of them pass. When the hook is detached the sockets are as they were;
connections that were open before are left alone.
"""

from __future__ import annotations

from collections.abc import Callable

from probes.attach.cgroup import CgroupLink
from probes.attach.sk_msg import SkMsgAttach, SkMsgLink
from probes.model import Column, Hook, Kind, Opening, Program, Reach, Reading, Rung
from probes.point import AttachType
from probes.toolkit import sockets_c
from probes.toolkit.c_files import c_source
from probes.toolkit.counters_c import UNCOUNTED, everything
from probes.toolkit.decode import address
from probes.toolkit.readers import by_columns
from probes.units import Unit

_SOURCE = (
    sockets_c.MAPPED
    + c_source(__file__, "rows.c")
    + everything()
    + UNCOUNTED
    + sockets_c.of_sock_ops("ends_of_socket")
    + sockets_c.OF_SK_MSG
    + c_source(__file__, "messages.c")
)


class _Messages:
    """The reader of the rows; it reports new sockets whose messages belong to another program."""

    def __init__(self) -> None:
        self.said = ""

    def open(self, opening: Opening) -> Callable[[], Reading]:
        rows, taken = by_columns("rows")(opening), opening.tables["taken"]
        self.said = ""

        def read() -> Reading:
            found = taken.row((0,))
            sockets = int(found[-1]) if found else 0
            self.said = f"not seen: {sockets} {_TAKEN}" if sockets else ""
            return rows()

        return read


_TAKEN = (
    "sockets whose messages another program has (a second ebpftop, or a proxy): the kernel "
    "gives a socket's messages to one program only"
)


def _rung(name: str, least: str, point: SkMsgLink | SkMsgAttach) -> Rung:
    messages = _Messages()
    return Rung(
        name,
        f"{least}, cgroup v2, CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN",
        messages.open,
        source=_SOURCE,
        types=sockets_c.OF_SOCK_TYPES,
        programs=(
            Program("message", point),  # first: no socket is in the map before it
            Program("established", CgroupLink(AttachType.CGROUP_SOCK_OPS)),
        ),
        misses="connections that were open before are not seen",
        changed=lambda: messages.said,
    )


def _port(name: str, title: str, help: str) -> Column:
    return Column(name, title, Unit.NUMBER, Kind.KEY, name, width=5, help=help)


def _address(name: str, title: str, help: str) -> Column:
    return Column(name, title, kind=Kind.KEY, field=name, decode=address, width=22, help=help)


HOOK = Hook(
    name="sk-msg",
    title="Messages",
    question="How many messages are sent over each local TCP socket, and how large they are.",
    columns=(
        _address("laddr", "Local", "the sender's address"),
        _port("lport", "LPort", "its port"),
        _address("raddr", "Remote", "the receiver's address"),
        _port("rport", "RPort", "its port"),
        Column("messages", "Messages", Unit.COUNT, Kind.COUNTER, "messages", help="messages sent"),
        Column(
            "bytes", "Bytes", Unit.BYTES, Kind.COUNTER, "bytes", help="payload of these messages"
        ),
    ),
    ladder=(
        _rung("sk_msg-link", "Linux 6.12", SkMsgLink("sockets")),
        _rung("sk_msg-attach", "Linux 5.10", SkMsgAttach("sockets")),
    ),
    reach=Reach.DATA_PATH,
    risk="messages of new connections take another path through the kernel",
    order=120,
    on_demand=True,
)
