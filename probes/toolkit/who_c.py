"""The C that identifies the current process, by one pid and one name wherever it is shown.

The pid is the one in this process's /proc: inside a PID namespace that of the namespace, and 0 for
a process that has none there. The name is the group leader's, as in /proc/PID/comm, also for a
thread with a name of its own (io_uring's workers have one).
"""

from __future__ import annotations

from probes.toolkit.c_files import c_source

WHO = c_source(__file__, "who_traced.h", "who.h")
"""u32 this_pid(), void this_name(char[16]): for programs that trace."""

WHO_AT_CGROUP = c_source(__file__, "who_at_cgroup.h", "who.h")
"""The same for programs at cgroups and sockets, which have fewer helpers."""
