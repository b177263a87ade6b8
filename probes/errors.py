"""Errors: every way in which the kernel side can refuse a request.

    ProbeError
    ├── Unsupported   this kernel or device cannot: the ladder steps down
    ├── Denied        it could, but a capability, sysctl, lockdown or policy says no
    ├── Busy          somebody else's program is attached already; it is never replaced
    ├── LoadFailed    the compiler or the verifier rejected our program; `log` has its words
    ├── Gone          the target (an interface, a cgroup) is not there
    └── Unexpected    our code, or a user's hook file, raised something unforeseen

The message is one sentence for the user; `remedy`, where there is one, says what to do.
"""

from __future__ import annotations

import errno as _errno
import os as _os
from collections.abc import Callable, Iterable
from types import TracebackType

# ENOTSUPP is kernel-internal, and yet some bpf commands return it; Python calls 95 ENOTSUP.
_KERNEL_NAMES = {524: "ENOTSUPP", 95: "EOPNOTSUPP"}


class ProbeError(Exception):
    """A refusal by the kernel.

    errno: the kernel's answer (0 where there was none).
    remedy: what the user can do about it, or "".
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
    """A refusal: this kernel or device does not offer it."""


class Denied(ProbeError):
    """A refusal by a capability, sysctl, lockdown mode or security policy."""


class Busy(ProbeError):
    """An attach point that somebody else's program holds."""


class LoadFailed(ProbeError):
    """A program that did not compile, or that the verifier refused."""


class Gone(ProbeError):
    """An interface, cgroup or process that is not there."""


class Unexpected(ProbeError):
    """An error that is not a refusal; the message names the module, the error and the work."""


_PASSING = frozenset({
    _errno.EMFILE, _errno.ENFILE, _errno.ENOMEM, _errno.ENOBUFS, _errno.EAGAIN, _errno.EINTR,
})  # fmt: skip
_REMEDIES = {
    _errno.EMFILE: "Allow this process more open files: ulimit -n.",
    _errno.ENFILE: "Allow the host more open files: sysctl fs.file-max.",
    _errno.ENOMEM: "Free memory, or allow more: ulimit -v, or the cgroup's memory.max.",
    _errno.ENOSPC: "Free space or inodes there: df -h, df -i.",
    _errno.EDQUOT: "Free space there, or allow this user more of it (quota).",
    _errno.EROFS: "Mount that file system writable: mount -o remount,rw.",
}
_NO_THREAD = "Allow more processes: ulimit -u, or the cgroup's pids.max."
_NO_FILE = frozenset({_errno.ENOENT, _errno.ENOTDIR, _errno.ESTALE})
_MOST_TEXT = 200


def passing(refusal: ProbeError) -> bool:
    """Return whether the host is short of something (files, memory), which may be over soon."""
    return short(refusal.errno)


def short(code: int | None) -> bool:
    """Return whether an errno says that the host is short of something, for any request."""
    return code in _PASSING


def raise_if_short(refused: OSError) -> None:
    """Raise where no file is left to look with: what is not seen then may be there."""
    if short(refused.errno):
        raise refused


def remedy(code: int | None) -> str:
    """Return what to do about an errno that means the same for any request; "" for others."""
    return _REMEDIES.get(code or 0, "")


def no_such_file(code: int | None) -> bool:
    """Return whether an errno says that a name has no file; any other leaves that open."""
    return code in _NO_FILE


def as_refusal(raised: BaseException, doing: str) -> ProbeError:
    """Return anything that was raised as a refusal of one sentence.

    doing: the work, as in "reading drops". A refusal is returned unchanged.
    """
    what_to_do = ""
    match raised:
        case ProbeError():
            return raised
        case MemoryError():
            code = _errno.ENOMEM
        case OSError(errno=int(code)):
            about = f" ({_one_line(raised.filename)})" if isinstance(raised.filename, str) else ""
            why = f"{doing}: {in_words(raised)}{about}"
            return ProbeError(why, errno=code, remedy=remedy(code))
        case TimeoutError():
            code = _errno.EAGAIN
        case RuntimeError(args=("can't start new thread",)):
            code, what_to_do = _errno.EAGAIN, _NO_THREAD
        case _:
            return Unexpected(f"{doing} failed: {_described(raised)}")
    why = f"{doing}: {_os.strerror(code)}"
    return ProbeError(why, errno=code, remedy=what_to_do or remedy(code))


def call_each(calls: Iterable[Callable[[], object]]) -> None:
    """Make all calls, although some may raise; raise the first error afterwards."""
    failed: list[Exception] = []
    for call in calls:
        try:
            call()
        except Exception as error:
            failed.append(error)
    if failed:
        raise failed[0]


def in_words(error: OSError) -> str:
    """Return the error's own reason, never "Success" where it gives none."""
    said = error.strerror or (_os.strerror(error.errno) if error.errno else str(error))
    return _one_line(said) if said not in ("", _os.strerror(0)) else "no reason was given"


def _one_line(text: str) -> str:
    said = " ".join(text.split())
    if len(said) > _MOST_TEXT:
        said = f"{said[:_MOST_TEXT]}..."
    return "".join(c if c.isprintable() else "?" for c in said)


def _described(raised: BaseException) -> str:
    """Return the type, message and place of an error, on one line of bounded length."""
    try:
        said = _one_line(str(raised))
    except Exception:  # somebody's own class, whose text fails as well
        said = ""
    name = type(raised).__name__
    if type(raised).__module__ not in ("builtins", "__main__"):
        name = f"{type(raised).__module__}.{name}"
    place = _place(raised.__traceback__)
    text = f"{name}{f': {said}' if said else ''}{f' ({place})' if place else ''}"
    return "".join(c if c.isprintable() else "?" for c in text)


def _place(traceback: TracebackType | None) -> str:
    """Return the innermost frame that is ours (or a user's), as module and line."""
    found = ""
    while traceback is not None:
        module = str(traceback.tb_frame.f_globals.get("__name__", ""))
        if module.startswith(("probes.", "tui.", "ebpftop_hook_")):
            found = f"{module}, line {traceback.tb_lineno}"
        traceback = traceback.tb_next
    return found
