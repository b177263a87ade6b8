"""Meanings of the kernel's errnos at each step: an error of `errors`, a sentence and a remedy.

A point is asked first for what is special to its kind. All of it was seen on Linux 5.10 to 7.3, not
taken from documentation.
"""

from __future__ import annotations

import errno
import os
import re

from probes.errors import Busy, Denied, Gone, LoadFailed, ProbeError, Unsupported, remedy, short
from probes.kernel import bpf, capabilities
from probes.point import AttachType, Point

_HELPER = re.compile(r"(?:unknown|invalid) func (\S+#\d+)")  # the verifier's words


# -- loading ---------------------------------------------------------------------------------


def load_refused(point: Point, code: int, log: str) -> ProbeError:
    """Return what a refusal to load means."""
    if short(code):
        why = f"the kernel cannot load the program at the moment: {os.strerror(code)}"
        return ProbeError(why, errno=code, remedy=remedy(code))
    return (
        point.explain_load(code, log)
        or _not_permitted(point, code, log)
        or _not_there(code, log)
        or point.explain_last(code, log)
        or _locked_down(point, code)
        or LoadFailed(
            f"the verifier refused the program ({os.strerror(code)}): "
            "please report it with the log",
            errno=code,
            log=log,
        )
    )


def _not_permitted(point: Point, code: int, log: str) -> Denied | None:
    if code in (errno.EPERM, errno.EACCES) and not log:
        why, grant = capabilities.why_not(*point.needs)
        return Denied(f"the kernel refused to load it: {why}", errno=code, remedy=grant)
    verdicts = (errno.EPERM, errno.EACCES, errno.EINVAL)
    if log and code in verdicts and capabilities.missing(capabilities.PERFMON):
        # Without it no program may calculate with pointers, or call what reads memory.
        why, grant = capabilities.why_not(capabilities.PERFMON)
        return Denied(f"the verifier refused it: {why}", errno=code, remedy=grant)
    return None


def _not_there(code: int, log: str) -> Unsupported | None:
    if code not in (errno.EINVAL, errno.E2BIG, errno.EOPNOTSUPP, bpf.ENOTSUPP):
        return None
    if (helper := _HELPER.search(log)) and not _hides_memory(helper[1]):
        why = f"this kernel does not let such a program call the helper {helper[1]}"
        return Unsupported(why, errno=code)
    if not log or "not supported" in log:
        return Unsupported("this kernel does not accept such a program", errno=code)
    return None


def _locked_down(point: Point, code: int) -> Denied | None:
    if code != errno.EINVAL or capabilities.lockdown() != "confidentiality":
        return None
    why, grant = capabilities.why_not(*point.needs)
    return Denied(f"{why}: programs may not read kernel memory", errno=code, remedy=grant)


def last_words(log: str) -> str:
    """Return the verifier's last complaint, without its statistics."""
    lines = [line for line in log.splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith(("processed ", "verification time"))]
    return (said or lines)[-1].strip().rstrip(".")


def _hides_memory(helper: str) -> bool:
    """Return whether the kernel takes this helper away because it is locked down."""
    return "probe_read" in helper and capabilities.lockdown() == "confidentiality"


# -- attaching -------------------------------------------------------------------------------


def attach_refused(code: int, what: str, point: Point, ifindex: int = 0) -> ProbeError:
    """Return what a refusal to attach means. what: the target, in words."""
    return point.explain(code, what, ifindex) or _always(code, what, point)


def _always(code: int, what: str, point: Point) -> ProbeError:
    match code:
        case errno.EBUSY | errno.EEXIST:
            return Busy(f"somebody else's program is attached to {what}", errno=code)
        case errno.ENODEV | errno.ENXIO:
            return Gone("the interface has gone", errno=code)
        case errno.ENOENT:
            return Unsupported(f"this kernel has no {what}", errno=code)
        case _ if short(code):
            why = f"the kernel cannot attach to {what} at the moment: {os.strerror(code)}"
            return ProbeError(why, errno=code, remedy=remedy(code))
        case errno.EPERM | errno.EACCES:
            why, grant = capabilities.why_not(*point.needs)
            return Denied(f"the kernel refused {what}: {why}", errno=code, remedy=grant)
        case _:
            return Unsupported(f"{what} is not supported here", errno=code)


def privileged(code: int, what: str, *needs: int) -> ProbeError:
    """Return what a refusal of something means that takes these capabilities. what: a sentence."""
    if code in (errno.EPERM, errno.EACCES):
        why, grant = capabilities.why_not(*needs)
        return Denied(f"{what}: {why}", errno=code, remedy=grant)
    return ProbeError(f"{what}: {os.strerror(code)}", errno=code, remedy=remedy(code))


def perf_refused(code: int, what: str, point: Point) -> ProbeError:
    """Return what a refusal of perf_event_open means."""
    if (
        code in (errno.EACCES, errno.EPERM)
        and (paranoid := capabilities.sysctl("kernel.perf_event_paranoid")) is not None
        and paranoid > 2
        and capabilities.missing(capabilities.PERFMON)
    ):
        return Denied(
            f"kernel.perf_event_paranoid={paranoid} refuses {what}",
            errno=code,
            remedy="Run as root (sudo), grant CAP_PERFMON, or set kernel.perf_event_paranoid=2.",
        )
    return attach_refused(code, what, point)


def takes_links(where: str) -> None:
    """Raise Unsupported before bpf_link. No program has this fd: EBADF where it is known at all."""
    try:
        bpf.link_create(0x7FFFFFFF, 0, AttachType.XDP)
    except OSError as refused:
        if refused.errno == errno.EINVAL:
            why = f"this kernel has no links to {where}"
            raise Unsupported(why, errno=errno.EINVAL) from None
