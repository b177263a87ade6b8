"""Results of calls that no process sees: the kernel begins the call again, or a signal ends it.

From include/linux/errno.h. 515 (ENOIOCTLCMD) stands among them and is none: it is an error, which
becomes ENOTTY on its way to the process.
"""

from __future__ import annotations

NAMES = {
    512: "ERESTARTSYS",
    513: "ERESTARTNOINTR",
    514: "ERESTARTNOHAND",
    516: "ERESTART_RESTARTBLOCK",
}
"""By number. Not ERESTART for the last: that is an errno of its own (85)."""

RESTARTS = (
    "".join(f"#define {name} {number}\n" for number, name in NAMES.items())
    + "/* Whether this result of a call is none: it is still to be begun again, or to end. */\n"
    + "static inline int restarts(long result) {\n    return "
    + " || ".join(f"result == -{name}" for name in NAMES.values())
    + ";\n}\n"
)
"""The same in C."""
