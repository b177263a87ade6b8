"""Uprobes: places in files, and what a program is attached through there."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from probes.attach import slow_closing
from probes.attach.handle import Handle
from probes.attach.refusals import perf_refused
from probes.errors import Gone, ProbeError, Unsupported, in_words, remedy, short
from probes.kernel import bpf, capabilities, elf, open_files, patience, perf_event, sysfs
from probes.point import AttachType, Loading, Point, ProgType
from probes.units import did_you_mean, printable

OPEN_SECONDS = 5.0
"""Seconds to wait for a file to be opened, and for the kernel to read its code."""

RETURNS = 1
"""The uprobe PMU's config for the return of a function (format/retprobe: config:0)."""


class AtFile(Point):
    """A function of a program or library, in every process that has it.

    path: as this process sees it (/proc/PID/root/... for a container's).
    """

    __slots__ = ()

    path: str
    symbol: str

    needs = capabilities.BPF, capabilities.PERFMON, capabilities.SYS_ADMIN
    returns: ClassVar[bool]

    @property
    def file(self) -> str:
        return self.path

    def loading(self) -> Loading:
        return Loading(ProgType.KPROBE, AttachType.TRACE_UPROBE_MULTI if by_link() else 0)

    def check(self, ifindex: int) -> None:
        pmu()
        offsets(self)

    def attach(self, prog_fd: int, ifindex: int, maps: Mapping[str, int]) -> Handle:
        return attach(prog_fd, self)

    def explain(self, code: int, what: str, ifindex: int) -> ProbeError | None:
        if code in (errno.EINVAL, errno.EIO):
            return Unsupported(f"this kernel does not allow probes on {what}", errno=code)
        return None


@dataclass(frozen=True, slots=True)
class Uprobe(AtFile):
    """A place in a program or library, in every process that has it. Linux 4.17.

    path: as this process sees it (/proc/PID/root/... for a container's). offset: from the symbol.
    """

    path: str
    symbol: str
    offset: int = 0

    returns = False


@dataclass(frozen=True, slots=True)
class Uretprobe(AtFile):
    """The return of a function of a program or library, in every process. Linux 4.17.

    unsafe: also where an exception that is thrown through it would end the process; never in Go.
    """

    path: str
    symbol: str
    unsafe: bool = False

    returns = True


def pmu() -> int:
    """Return the uprobe PMU's number. Raises Unsupported where the kernel has none. Linux 4.17."""
    try:
        return int(Path("/sys/bus/event_source/devices/uprobe/type").read_text())
    except FileNotFoundError:
        none = Unsupported("this kernel is built without uprobes", errno=errno.ENOENT)
        raise sysfs.not_mounted("whether the kernel has uprobes") or none from None
    except OSError as refused:
        raise _cannot("cannot tell whether this kernel has uprobes", refused) from None


_by_link: list[bool] = []
"""The kernel's answer, once it is known."""


def by_link() -> bool:
    """Return whether a link holds uprobes: these are released side by side. Linux 6.6.

    Raises ProbeError where this cannot be told for want of files or memory: a program is loaded for
    one way or the other.
    """
    if not _by_link:
        try:
            _by_link.append(_takes_links())
        except OSError as refused:
            raise _cannot("cannot tell how this kernel holds uprobes", refused) from None
    return _by_link[0]


def _takes_links() -> bool:
    """Ask the kernel. Raises OSError where it has not decided."""
    multi = AttachType.TRACE_UPROBE_MULTI
    try:
        prog = bpf.prog_load(ProgType.KPROBE, bpf.exit_with(0), expected_attach_type=multi)
    except OSError as refused:
        if short(refused.errno):
            raise
        return False
    try:
        os.close(bpf.link_create_uprobe(prog, multi, b"/", (0,), returns=False))
    except OSError as refused:
        if short(refused.errno):
            raise
        return refused.errno == errno.EBADF  # the errno for a folder
    finally:
        os.close(prog)
    return True


def attach(prog_fd: int, point: AtFile) -> Handle:
    """Attach. Raises ProbeError: Gone, Unsupported, Denied, or a shortage that may pass."""
    opened, path = partial(_opened, point, by_link=by_link()), printable(point.path)
    try:
        fds = patience.within(OPEN_SECONDS, opened, (prog_fd,))
    except patience.TookTooLong as late:
        raise Unsupported(f"{path} cannot be opened: {in_words(late)}") from None
    except OSError as refused:
        raise _cannot(f"{path} cannot be probed", refused) from None
    slow_closing.hold(fds)
    return Handle(partial(slow_closing.close, fds))


def _cannot(what: str, refused: OSError) -> ProbeError:
    code = refused.errno or 0
    return ProbeError(f"{what}: {in_words(refused)}", errno=code, remedy=remedy(code))


def _opened(point: AtFile, prog_fd: int, *, by_link: bool) -> patience.OpenFiles:
    """Return what holds the program there. The file may be anybody's: called with patience."""
    returns, path = point.returns, os.fsencode(point.path)
    number, places = pmu(), offsets(point)
    try:
        if by_link:
            multi = AttachType.TRACE_UPROBE_MULTI
            link = bpf.link_create_uprobe(prog_fd, multi, path, places, returns=returns)
            return patience.OpenFiles((link,))
        return _events(prog_fd, number, path, places, RETURNS if returns else 0)
    except OSError as refused:
        what = f"{point.symbol} of {printable(point.path)}"
        raise perf_refused(refused.errno or 0, what, point) from None


def _events(
    prog_fd: int, number: int, path: bytes, places: Sequence[int], config: int
) -> patience.OpenFiles:
    """Open one event for each place, or none."""
    name, fds = ctypes.create_string_buffer(path), list[int]()
    try:
        for place in places:
            where = {"config1": ctypes.addressof(name), "config2": place}
            fds.append(perf_event.open_event(number, config, **where))
            perf_event.attach_program(fds[-1], prog_fd)
    except OSError:
        open_files.close_each(fds)
        raise
    return patience.OpenFiles(fds)


MOST_PLACES = 8
"""Versions of one function in a library; the kernel waits for each when it is released."""
COUNT_CALLS = "Count the calls instead: uprobe:{path}:{symbol}, without latency and ret."
TAKEN = (
    f"{COUNT_CALLS} If that cannot happen in this function, add unsafe: "
    "uprobe:{path}:{symbol},latency,unsafe (in a hook file: unsafe=True)."
)
_RETURN_TWICE = frozenset({"setjmp", "sigsetjmp", "getcontext", "swapcontext"})
"""Functions that save their return address for later: it would be the kernel's own."""
_ASK_WHO_CALLS = frozenset({"dlsym", "dlvsym", "dlopen", "dlmopen", "mcount", "fentry"})
_HARM = {
    elf.StackUse.UNWINDS: "{path} throws or catches exceptions ({sign}): a probe on the return of "
    "{symbol} would kill a process when one passes through it",
    elf.StackUse.SWITCHES: "{path} switches stacks ({sign}): with a probe on the return of {symbol}"
    ", "
    "a process that switches within it would return to the wrong place",
    elf.StackUse.SCANS: "{path} scans its stacks for live values ({sign}): a probe on the return "
    "of {symbol} would kill a process that scans within it",
    elf.StackUse.GO: "{path} is Go code ({sign}): a probe on the return of {symbol} would kill its "
    "processes, as Go moves stacks",
}


def offsets(point: AtFile) -> tuple[int, ...]:
    """Return places in the file, one for each version of the function that a library has.

    Raises Gone (no such file or function, with those that are spelled alike) or Unsupported.
    """
    file = elf.read(point.path)
    found = file.named(point.symbol)
    more = point.offset if isinstance(point, Uprobe) else 0
    where = f"{point.symbol} in {printable(point.path)}"
    if not found:
        raise _unknown(file, point.symbol)
    if isinstance(point, Uretprobe):
        _harmless(point, file)
    if any(symbol.resolver for symbol in found):
        raise Unsupported(f"{where} is chosen at load time (IFUNC): name what it resolves to")
    if len(found) > 1 and not found[0].visible:
        raise Unsupported(
            f"there are {len(found)} functions {where}: a probe on one would miss calls"
        )
    if len(found) > MOST_PLACES:
        raise Unsupported(f"there are {len(found)} functions {where}: no linker writes so many")
    if any(symbol.size and more >= symbol.size for symbol in found):
        raise Unsupported(f"{where} has {found[0].size} bytes: +0x{more:x} is past its end")
    places = [file.offset(symbol.address + more) for symbol in found]
    if None in places:
        raise Unsupported(f"{where} is not in a loaded part of the file")
    return tuple(place for place in places if place is not None)


def _harmless(point: Uretprobe, file: elf.Elf) -> None:
    """Raise Unsupported where the process would not survive it.

    To see a return, the kernel replaces the address on the stack that the function returns to.
    """
    _harmless_itself(point)
    reader = file.stack_reader
    if reader is None or (point.unsafe and reader.stacks is not elf.StackUse.GO):
        return
    words = {"path": printable(point.path), "symbol": point.symbol, "sign": reader.sign}
    remedy = COUNT_CALLS if reader.stacks is elf.StackUse.GO else TAKEN
    raise Unsupported(_HARM[reader.stacks].format(**words), remedy=remedy.format(**words))


def _harmless_itself(point: Uretprobe) -> None:
    path, symbol = printable(point.path), point.symbol
    name = symbol.strip("_").removesuffix("_chk")
    if name in _RETURN_TWICE:
        raise Unsupported(
            f"{symbol} saves its return address, and returns there again: a probe on its return "
            "would kill every process that calls it",
            remedy=COUNT_CALLS.format(path=path, symbol=symbol),
        )
    if name in _ASK_WHO_CALLS and not point.unsafe:
        raise Unsupported(
            f"{symbol} reads its return address, to know its caller: with a probe on its return "
            "it would see another caller",
            remedy=TAKEN.format(path=path, symbol=symbol),
        )


def _unknown(file: elf.Elf, symbol: str) -> Gone:
    names = file.names()
    if not names:
        return Gone(
            f"{printable(file.path)} has no function names: it is stripped",
            remedy="Install its debug symbols, or probe a library that it calls.",
        )
    return Gone(f"{printable(file.path)} has no function {symbol}{did_you_mean(symbol, names)}")
