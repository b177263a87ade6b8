"""The C that follows a TCP connect from the call to its end, one source for each kind of rung.

All count alike: an attempt begins in the process that calls connect(), under its pid and name; it
is settled when the socket leaves SYN_SENT (or the call itself fails), wherever that happens. An
IPv4 address is kept as ::ffff:a.b.c.d, so a destination has one form.
"""

from __future__ import annotations

from probes.toolkit.c_files import c_source
from probes.toolkit.counters_c import UNCOUNTED, event_log, everything, large_rows
from probes.toolkit.restarts import RESTARTS
from probes.toolkit.sockets_c import (
    MAPPED,
    OF_FD,
    OF_FD_TYPES,
    OF_NAME,
    OF_SOCK,
    OF_SOCK_ADDR,
    OF_SOCK_ADDR_TYPES,
)
from probes.toolkit.who_c import WHO, WHO_AT_CGROUP

TYPES = (
    *(*OF_FD_TYPES, *OF_SOCK_ADDR_TYPES),
    *("socket_alloc", "inode", "trace_event_raw_inet_sock_set_state"),
)

_CORE = (
    MAPPED
    + c_source(__file__, "rows.c")
    + everything()
    + large_rows()
    + event_log(1024, lost=2)  # attempts without room or whose end was missed, log entries
    + UNCOUNTED
    + c_source(__file__, "attempt.c")
)
_NO_CALLS = "static inline int undecided(u64 sk) { return 0; }\n"
_NUMBER = c_source(__file__, "number.c")
_FUNCTIONS = (
    WHO + _CORE + OF_FD + _NUMBER + _NO_CALLS + c_source(__file__, "states.c", "functions.c")
)


def _calls(number: str) -> str:
    return "".join(
        (
            *(WHO, _CORE, RESTARTS, OF_FD, OF_NAME, number),
            c_source(__file__, "calling.c", "states.c", "syscall.c"),
        )
    )


SOURCES = {
    "fentry": _FUNCTIONS + c_source(__file__, "fentry.c"),
    "kprobe": _FUNCTIONS + c_source(__file__, "kprobe.c"),
    "typed": _calls(c_source(__file__, "number_typed.c")) + OF_SOCK + c_source(__file__, "typed.c"),
    "tracefs": _calls(_NUMBER) + c_source(__file__, "tracefs.c"),
    "sock_ops": WHO_AT_CGROUP + _CORE + OF_SOCK_ADDR + c_source(__file__, "sock_ops.c"),
}
