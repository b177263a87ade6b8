"""Messages: what processes pass to each local TCP socket, and how much, before TCP segments it.

Intrusive: every connection established meanwhile is put into a sockhash, whose program every
message passes. It lets all of them pass. When the hook is detached the sockets are as they were;
connections that were open before are left alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from probes.toolkit import (
    CGROUP_ID,
    UNCOUNTED,
    AttachType,
    CgroupLink,
    Hook,
    Opening,
    Program,
    Reach,
    Reading,
    Rung,
    SkMsgAttach,
    SkMsgLink,
    Unit,
    Value,
    address,
    by_columns,
    byte_count,
    c_source,
    counted,
    counter,
    everything,
    key,
    level,
    owner,
    port_key,
    sockets_c,
)

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
            sockets = counted(taken)
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


def _known(pid: Any) -> Value:
    return pid or None


HOOK = Hook(
    name="sk-msg",
    title="Messages",
    question="How many messages are sent over each local TCP socket, and how large they are.",
    columns=(
        key("laddr", "Local", "the sender's address", decode=address, width=22),
        port_key("lport", "LPort", "its port"),
        key("raddr", "Remote", "the receiver's address", decode=address, width=22),
        port_key("rport", "RPort", "its port"),
        counter("messages", "Messages", "messages sent"),
        byte_count("bytes", "Bytes", "payload of these messages"),
        level(
            "pid", "Pid", "process that sent last; not known inside a PID namespace", Unit.NUMBER,
            decode=_known, width=7,
        ),
        CGROUP_ID,
        *owner("the process that sent last"),
    ),
    ladder=(
        _rung("sk_msg-link", "Linux 6.12", SkMsgLink("sockets")),
        _rung("sk_msg-attach", "Linux 5.10", SkMsgAttach("sockets")),
    ),
    reach=Reach.DATA_PATH,
    risk="messages of new connections take another path through the kernel",
    order=120,
    on_demand=True,
)  # fmt: skip
