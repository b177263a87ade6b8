"""Every way the kernel side can refuse.

    ProbeError
    ├── Unsupported   this kernel or device cannot: the ladder steps down
    ├── Denied        it could, but a capability, sysctl, lockdown or policy says no
    ├── Busy          somebody else's program sits there already; nobody is replaced
    ├── LoadFailed    the compiler or the verifier rejected our program; `log` has its words
    └── Gone          the target (an interface, a cgroup) is not there

The message is one sentence for a person; `remedy`, where there is one, says what to do.
"""

from __future__ import annotations

import errno as _errno

# ENOTSUPP is kernel-internal, and yet some bpf commands return it; Python calls 95 ENOTSUP.
_KERNEL_NAMES = {524: "ENOTSUPP", 95: "EOPNOTSUPP"}


class ProbeError(Exception):
    """A refusal by the kernel.

    errno: the kernel's answer (0 where there was none).
    remedy: what a person can do about it, or "".
    log: the compiler's or the verifier's own words, or "".
    """

    def __init__(self, why: str, *, errno: int = 0, remedy: str = "", log: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.errno = errno
        self.remedy = remedy
        self.log = log

    @property
    def code(self) -> str:
        """The errno's name ("EPERM"), or the kind of refusal where there is none."""
        if self.errno in _KERNEL_NAMES:
            return _KERNEL_NAMES[self.errno]
        return _errno.errorcode.get(self.errno, type(self).__name__)


class Unsupported(ProbeError):
    """This kernel or device does not offer it."""


class Denied(ProbeError):
    """A capability, sysctl, lockdown mode or security policy refused."""


class Busy(ProbeError):
    """Somebody else's program is attached there."""


class LoadFailed(ProbeError):
    """The program did not compile or did not pass the verifier."""


class Gone(ProbeError):
    """The interface, cgroup or process is not there."""
