"""The C that follows a TCP connection from its establishment to its end, by any kind of program.

Connections that were open before are not followed: their beginning is not known. The holder of a
connection is known from the two steps that a process takes itself: connecting and closing.
"""

from __future__ import annotations

from probes.toolkit.c_files import c_source
from probes.toolkit.counters_c import event_log, everything, large_rows
from probes.toolkit.sockets_c import MAPPED, OF_SOCK, OF_SOCK_OPS, OF_SOCK_TYPES
from probes.toolkit.who_c import WHO, WHO_AT_CGROUP

TYPES = (*OF_SOCK_TYPES, "trace_event_raw_inet_sock_set_state")
MAX_ROWS = 4096

_CORE = (
    MAPPED
    + c_source(__file__, "rows.c", MAX_ROWS=MAX_ROWS)
    + everything("struct sums")
    + large_rows("struct side")
    + event_log(1024, lost=2)  # connections without room or whose end was missed, log entries
    + c_source(__file__, "connection.c")
)
_DIRECT = "#define GET(field) (field)\n"
_PROBED = "#define GET(field) PROBE(field)\n"

AT_SOCK_OPS = WHO_AT_CGROUP + _DIRECT + _CORE + OF_SOCK_OPS + c_source(__file__, "sock_ops.c")
TYPED = WHO + _DIRECT + _CORE + OF_SOCK + c_source(__file__, "typed.c")
TRACEFS = WHO + _PROBED + _CORE + c_source(__file__, "tracefs.c")
