"""Compiling: C in, instructions and maps out. With its child, all that ebpftop knows of bcc.

bcc itself lives in a process of its own (bcc_worker.py), started when something is to be compiled
and ended after a while without work. What comes back are the programs' instructions and the maps'
file descriptors; loading, attaching and reading need no bcc. On a host without it, a bundle has
what another host has compiled.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from probes.compile import cache, headers
from probes.compile.bundle import Bundle, PlacedBundle, placed
from probes.compile.instructions import relocated
from probes.compile.numbers import of_the_host, split, with_numbers
from probes.errors import Denied, LoadFailed, ProbeError, Unsupported, remedy, short
from probes.kernel import capabilities, open_files, rlimits
from probes.kernel.maps import ROWS, BpfTable
from probes.kernel.threads import Task
from probes.model import Hook

_CHILD = Path(__file__).with_name("bcc_worker.py")
IDLE_SECONDS = 5.0
_MAX_FDS = 253  # SCM_MAX_FD
ROOM_SECONDS, ROOM_PAUSE = 5.0, 0.1
"""Seconds to wait for room before a child is started, and between two checks."""
_MAX_CHILDREN = 8  # children at once: 90 MB each
NOTHING = "int nothing(void *ctx) { return 0; }"
"""The source by which `doctor` asks whether anything can be compiled."""
_NEITHER = "Install bcc (python3-bpfcc), or make a bundle for this kernel build: ebpftop bundle."
_ELSEWHERE = "use programs that another host has compiled: ebpftop help bundle"
_NOT_IN_IT = "Make one with this version of ebpftop; hooks of your own need bcc (python3-bpfcc)."


class Module:
    """A compiled source: its functions ready to be loaded, its maps open.

    functions: instructions by C name. tables: the maps that have rows. fds: every map's fd (close-
    on-exec), the module's until `close`. The kernel keeps a map while a loaded program uses it.
    wanted: what to put into the code (`numbers`).
    """

    def __init__(
        self,
        answer: Mapping[str, Any],
        fds: Sequence[int],
        wanted: Mapping[str, int] | None = None,
    ) -> None:
        self._fds = tuple(fds)
        try:
            maps = answer["maps"]
            if len(fds) < len(maps):
                raise _map_lost()
            self.fds: dict[str, int] = {m["name"]: fd for m, fd in zip(maps, fds, strict=True)}
            numbers = {m["fd"]: self.fds[m["name"]] for m in maps}
            functions = {
                name: relocated(bytes.fromhex(code), numbers)
                for name, code in answer["functions"].items()
            }
            self.functions = with_numbers(functions, wanted or {})
            self.tables = {
                m["name"]: BpfTable(self.fds[m["name"]], m) for m in maps if m["type"] in ROWS
            }
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the maps' fds; the tables are of no use afterwards. Closing twice is harmless."""
        fds, self._fds = self._fds, ()
        open_files.close_each(fds)

    def __enter__(self) -> Module:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except OSError:  # a filter on system calls
        return os.cpu_count() or 1


class Compiler:
    """Compiler of C sources, by bcc; several at once from several threads.

    hooks, types: their kernel types make up the one header tree that all sources share. cached:
    what was compiled before is taken from disk. bundle: asked before anything is compiled; without
    it and without bcc, one in `bundle.PLACE`. in_pidns: as of `headers.tree`.

    at_once: how many are compiled side by side, each by a child of its own. They are started as
    they are needed, once there is room (makes some, and returns whether it is enough) or after
    ROOM_SECONDS; they end after IDLE_SECONDS without work, or where the current ones do not fit.
    """

    fits: Callable[[], bool] = staticmethod(lambda: True)
    """Whether there is room for the current children; set by the keeper of a bound."""

    def __init__(
        self,
        hooks: Iterable[Hook] = (),
        types: Iterable[str] = (),
        *,
        cached: bool = False,
        bundle: Bundle | None = None,
        in_pidns: bool | None = None,
        at_once: int = _MAX_CHILDREN,
        room: Callable[[], bool] = lambda: True,
    ) -> None:
        self._cached, self._in_pidns = cached, in_pidns
        self._given = bundle
        self._placed = PlacedBundle(None)
        of_hooks = (type for hook in hooks for rung in hook.ladder for type in rung.types)
        self._types = frozenset((*of_hooks, *types))
        self._lock = threading.Lock()
        self._tree_lock = threading.Lock()
        self._tree: headers.Tree | None = None
        self._slots = threading.BoundedSemaphore(min(_cores(), at_once))
        self._room = room
        self._children: set[_Child] = set()
        self._idle: list[_Child] = []
        self._retirement: tuple[threading.Event, Task] | None = None
        self._closed = False

    @property
    def there(self) -> bool:
        """Whether a child exists, which takes a hundred megabytes."""
        return bool(self._children)

    def compile(self, source: str) -> Module:
        """Compile a source; this blocks for some 0.2 s, where no bundle has it.

        Raises Unsupported (no bcc, no BTF), Denied, or LoadFailed with the compiler's words in
        `log`.
        """
        text, wanted = split(source)
        return Module(*self.answer(text), {**wanted, **of_the_host()})

    def answer(self, text: str) -> tuple[Mapping[str, Any], list[int]]:
        """Return what is known of a source that `split` returned, and the maps' fds.

        From a bundle, from the cache, or from the child. Raises as `compile` does.
        """
        try:
            return self._from_bundle(text) or self._compiled(text)
        except cache.MapRefused as refused:
            told = {"error": "map", "why": refused.strerror, "errno": refused.errno}
            raise _refusal(told, "") from None

    def _compiled(self, text: str) -> tuple[Mapping[str, Any], list[int]]:
        request = self._request(text)
        if not self._cached:
            return self.ask(request)
        return cache.answer(request, lambda: self.ask(request))

    def _from_bundle(self, text: str) -> tuple[Mapping[str, Any], list[int]] | None:
        """Return what a bundle has; None where it has nothing, and there is a compiler to ask.

        Raises as `compile` does.
        """
        bundle = self.bundle
        if bundle is None:
            if self._placed.why:
                raise Unsupported(f"bcc is not installed, and {self._placed.why}", remedy=_NEITHER)
            return None
        inside = bool(of_the_host()) if self._in_pidns is None else self._in_pidns
        answer = bundle.answer(text, in_pidns=inside)
        if answer is None:
            if cache.has_compiler():
                return None
            raise Unsupported(f"it is not in the {bundle}", remedy=_NOT_IN_IT)
        if "error" in answer:
            raise _refusal(answer, str(answer.get("log", "")))
        return answer, cache.created(answer["maps"])

    @property
    def bundle(self) -> Bundle | None:
        """The bundle that is asked: the one given, else without bcc one in its place."""
        if self._given is not None or cache.has_compiler():
            return self._given
        with self._tree_lock:
            if self._placed == PlacedBundle(None):  # one may be put there later
                self._placed = placed()
        return self._placed.bundle

    def ask(self, request: Mapping[str, Any]) -> tuple[dict[str, Any], list[int]]:
        """Return the child's answer to a request, and the maps' fds. Raises as `compile` does."""
        try:
            with self._slots:
                self._wait_for_room()
                with self._working() as child:
                    return child.ask(request)
        except OSError as why:  # no memory, process or file descriptor left
            code = why.errno or 0
            said = f"the compiler cannot be run: {why}"
            raise LoadFailed(said, errno=code, remedy=remedy(code)) from why

    def _request(self, source: str) -> dict[str, Any]:
        tree = self.tree()
        place = str(tree.path) if tree.path is not None else None
        return {"source": source, "cflags": tree.cflags_for(source), "kernel_source": place}

    def tree(self) -> headers.Tree:
        """Return the header tree that sources are compiled with. Raises Unsupported."""
        with self._tree_lock:
            if self._tree is None or not self._tree.there:
                self._tree = headers.tree(self._types, in_pidns=self._in_pidns)
            return self._tree

    def close(self) -> None:
        """End the children; what is being compiled fails."""
        with self._lock:
            self._closed = True
            self._dismiss(self._children)

    def end_idle(self) -> None:
        """End the children where nothing is being compiled, and the thread that waits for it.

        The next compile starts another.
        """
        waiting = self._retirement
        self._retire()
        if waiting is not None:
            waiting[1].join(IDLE_SECONDS)

    def pids(self) -> list[int]:
        """Return the process ids of the children that are there."""
        return [child.pid for child in tuple(self._children)]

    def _wait_for_room(self) -> None:
        if self._idle and not self.fits():
            self._retire()
        until = time.monotonic() + ROOM_SECONDS
        while not (self._idle or self._closed or self._room()) and time.monotonic() < until:
            time.sleep(ROOM_PAUSE)

    @contextmanager
    def _working(self) -> Iterator[_Child]:
        with self._lock:
            if self._closed:
                raise LoadFailed("the compiler has been closed")
            self._dismiss([child for child in self._idle if not child.alive()])
            child = self._idle.pop() if self._idle else self._started()
        try:
            yield child
        finally:
            with self._lock:
                if child.broken:
                    self._dismiss([child])
                elif child in self._children:
                    self._idle.append(child)
                if self._children and len(self._idle) == len(self._children):
                    self._retire_later()

    def _retire_later(self) -> None:
        busy = threading.Event()
        try:
            work = Task(lambda: self._retire_unless(busy))
        except RuntimeError:  # no thread to wait in: now, then
            self._dismiss(self._children)
        else:
            self._retirement = busy, work

    def _retire_unless(self, busy: threading.Event) -> None:
        if not busy.wait(IDLE_SECONDS):
            self._retire()

    def _started(self) -> _Child:
        open_files.check_left()
        child = _Child()
        self._children.add(child)
        return child

    def _retire(self) -> None:
        with self._lock:
            if len(self._idle) == len(self._children):
                self._dismiss(self._children)

    def _dismiss(self, children: Iterable[_Child]) -> None:
        """End these children, if any; none retires meanwhile."""
        if self._retirement is not None:
            self._retirement[0].set()
            self._retirement = None
        for child in tuple(children):
            self._children.discard(child)
            if child in self._idle:
                self._idle.remove(child)
            child.close()


class _Child:
    """A process with bcc in it, which compiles one source at a time. broken: it gave no answer."""

    def __init__(self) -> None:
        self.broken = False
        self._control, theirs = socket.socketpair()
        self._words = os.fdopen(os.memfd_create("bcc_compiler"), "rb")
        with theirs:
            # Not with a parent-death signal: that one watches the starting *thread*. The child
            # ends at end of file, which comes however we end. Its own session keeps ^C from it.
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(_CHILD), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._words,
                stderr=self._words,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, request: Mapping[str, Any]) -> tuple[dict[str, Any], list[int]]:
        """Return the answer and the maps' fds. Raises ProbeError where it is a refusal, or none."""
        with os.fdopen(os.memfd_create("compile"), "rb") as log:
            begun = time.monotonic()
            try:
                answer, fds = self._exchange(request, log.fileno())
            except open_files.FilesLost as lost:
                raise _map_lost() from lost
            except (OSError, ValueError) as broken:
                if short(getattr(broken, "errno", None)):
                    raise  # for want of files or memory: the child goes on
                self.broken = True
                log.seek(0)
                words = log.read().decode(errors="replace") or self._said()
                raise _no_answer(words, time.monotonic() - begun) from broken
            log.seek(0)
            if "error" in answer:
                open_files.close_each(fds)
                raise _refusal(answer, log.read().decode(errors="replace"))
        return answer, fds

    def _exchange(self, request: Mapping[str, Any], log: int) -> tuple[dict[str, Any], list[int]]:
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                socket.send_fds(self._control, [b"\n"], [theirs.fileno(), log])
            ours.sendall(json.dumps(request).encode())
            ours.shutdown(socket.SHUT_WR)
            _, fds = open_files.receive(ours, 1, _MAX_FDS)
            try:
                answer: dict[str, Any] = json.loads(ours.makefile("rb").read())
            except BaseException:
                open_files.close_each(fds)
                raise
        return answer, fds

    def _said(self) -> str:
        if self._words.closed:
            return ""
        return os.pread(self._words.fileno(), 1 << 16, 0).decode(errors="replace")

    def close(self) -> None:
        """End it, even while it compiles: it has nothing to clean up."""
        self._control.close()
        self._process.kill()
        self._process.wait()
        self._words.close()


def _map_lost() -> LoadFailed:
    code = errno.EMFILE
    return LoadFailed("a map was lost: too many open files", errno=code, remedy=remedy(code))


def _no_answer(log: str, seconds: float) -> ProbeError:
    """Explain a missing answer: LLVM exits on some errors (a stack above 512 bytes), logged."""
    if log:
        return LoadFailed("the program does not compile on this host", log=log)
    return LoadFailed(
        f"the compiler ended without an answer after {seconds:.0f} s",
        remedy="It may have crashed, hung, or been killed for lack of memory.",
    )


def _refusal(answer: Mapping[str, Any], log: str) -> ProbeError:
    """Return the child's answer as one of our errors."""
    why = answer["why"]
    match answer["error"], answer.get("errno", 0):
        case "no-bcc", _:
            return Unsupported(why, remedy=f"{answer['remedy']}; or {_ELSEWHERE}")
        case "map", (errno.EPERM | errno.EACCES) as code:
            return _map_denied(why, code, log)
        case "map", code if short(code):
            return ProbeError(why, errno=code, remedy=remedy(code), log=log)
        case "map", code:
            return Unsupported(why, errno=code, log=log)
        case _:
            return LoadFailed("the program does not compile on this host", log=log or why)


def _map_denied(why: str, code: int, log: str) -> Denied:
    if not capabilities.missing(capabilities.BPF) and rlimits.memlock_counts():
        grant = "Allow more locked memory: ulimit -l unlimited. Linux 5.11 has no such limit."
        return Denied(why, errno=code, remedy=grant, log=log)
    reason, grant = capabilities.why_not(capabilities.BPF, capabilities.PERFMON)
    return Denied(f"{why}: {reason}", errno=code, remedy=grant, log=log)
