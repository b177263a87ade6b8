"""Whether this kernel has TCX: chains of programs at TC, in an order that one can choose."""

from __future__ import annotations

import errno
import os

from probes.errors import Denied, ProbeError, Unsupported
from probes.kernel import bpf, privilege
from probes.point import AttachType, ProgType

NO_TCX = "TCX came with Linux 6.6: this kernel has none"
_NEXT = -1  # TCX_NEXT
_NOWHERE = 0x7FFFFFFF


def missing() -> ProbeError | None:
    """Why there is no TCX for us. No interface has that number: ENODEV where TCX exists."""
    try:
        fd = bpf.prog_load(ProgType.SCHED_CLS, bpf.exit_with(_NEXT))
    except OSError as refused:
        return _denied(refused.errno or 0)
    try:
        os.close(bpf.link_create(fd, _NOWHERE, AttachType.TCX_INGRESS))
    except OSError as refused:
        code = refused.errno or 0
        if code in (errno.EPERM, errno.EACCES):
            return _denied(code)
        return None if code == errno.ENODEV else Unsupported(NO_TCX, errno=code)
    finally:
        os.close(fd)
    return None


def _denied(code: int) -> ProbeError:
    why, remedy = privilege.why_not(privilege.BPF, privilege.NET_ADMIN)
    return Denied(f"the kernel refused TCX: {why}", errno=code, remedy=remedy)
