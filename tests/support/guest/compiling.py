"""Compiling for a guest on this machine, which takes a tenth of the time that emulation does.

What comes out is the same, byte for byte: the guest has this machine's bcc, and says with which
source, flags and kernel types. They meet in a folder: the guest leaves N.asked, gets N.answer.
What nobody answers, or answers with an error, the guest compiles itself.

    python -m tests.support.guest.compiling HOOK...      in the guest: prepares for a command
    python -m tests.support.guest.compiling < N.asked    on this machine: one answer
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

from probes.compile import cache
from probes.compile.compiler import Compiler
from probes.errors import ProbeError
from probes.hooks import catalogue
from probes.model import Hook, TargetKind

PATIENCE = 60.0
"""Seconds that a guest waits for an answer."""
_LOOK = 0.05


class Asking(Compiler):
    """In the guest: a compiler that asks the other side first."""

    def __init__(self, folder: Path, hooks: Iterable[Hook]) -> None:
        super().__init__(hooks, cached=True)
        self._folder = folder
        self._numbers = count()
        self._nobody = False
        self._copying = threading.Lock()

    def ask(self, request: Mapping[str, Any]) -> tuple[dict[str, Any], list[int]]:
        answer = None if self._nobody else self._answer(request, _tree(request))
        if answer is None:
            return super().ask(request)
        return answer, cache.created(answer["maps"])

    def _answer(self, request: Mapping[str, Any], tree: Path) -> dict[str, Any] | None:
        there = self._folder / tree.name
        with self._copying:
            if not there.exists():
                shutil.copytree(tree, there)
        asked = self._folder / f"{os.getpid()}-{next(self._numbers)}.asked"
        _write(asked, request)
        answered, deadline = asked.with_suffix(".answer"), time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if answered.exists():
                answer: dict[str, Any] = json.loads(answered.read_text())
                return answer or None
            time.sleep(_LOOK)
        self._nobody = True
        return None

    def prepare(self, hooks: Iterable[Hook]) -> None:
        """Compiles all that these may ask for, so that commands find it in their cache."""
        targets = {TargetKind.INTERFACE: "v0", TargetKind.SYSCALL: "getpgid"}
        for hook in hooks:
            for rung in hook.ladder:
                with suppress(ProbeError):  # not for this kernel
                    if source := rung.source_for(targets.get(hook.target)):
                        self.compile(source).close()


def _tree(request: Mapping[str, Any]) -> Path:
    """Our own headers: with the kernel's types, or beside the distribution's."""
    return Path(request["kernel_source"] or Path(request["cflags"][-1]).parent)


@contextmanager
def answering(folder: Path, image: Path) -> Iterator[None]:
    """On this machine: answers what is asked in the folder until the end.

    image: the guest's kernel as its packages have it, with its headers where there are some.
    """
    folder.mkdir(exist_ok=True)
    ended = threading.Event()
    worker = threading.Thread(target=_serve, args=(folder, image, ended))
    worker.start()
    try:
        yield
    finally:
        ended.set()
        worker.join()


def _serve(folder: Path, image: Path, ended: threading.Event) -> None:
    compiler = Compiler()
    try:
        while not ended.wait(_LOOK):
            for asked in folder.glob("*.asked"):
                answered = asked.with_suffix(".answer")
                if not answered.exists():
                    _write(answered, _compiled(compiler, folder, image, asked.read_text()))
    finally:
        compiler.close()


def _compiled(compiler: Compiler, folder: Path, image: Path, asked: str) -> Mapping[str, Any]:
    place = _tree(json.loads(asked))
    asked = asked.replace(str(place), str(folder / place.name))
    if json.loads(asked)["kernel_source"] is None:
        return _with_headers_of(image, asked)
    return _answer(compiler, json.loads(asked))


def _with_headers_of(image: Path, asked: str) -> Mapping[str, Any]:
    """As the guest would: bcc finds them where those of the running kernel are."""
    modules, sources = image / "lib/modules", image / "usr/src"
    script = (
        f"mkdir -p /usr/src /lib/modules && mount --bind {sources} /usr/src"
        " && mount -t tmpfs none /lib/modules"
        f' && ln -s {modules}/* "/lib/modules/$(uname -r)" && exec "$@"'
    )
    command = ("unshare", "--mount", "--propagation=private", "sh", "-c", script, "sh")
    done = subprocess.run(
        [*command, sys.executable, "-m", __spec__.name],
        input=asked,
        capture_output=True,
        text=True,
        check=False,
    )
    answer: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
    return answer


def _answer(compiler: Compiler, request: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        answer, fds = compiler.ask(request)
    except ProbeError:
        return {}
    for fd in fds:  # the guest makes its own
        with suppress(OSError):
            os.close(fd)
    return answer


def _write(file: Path, content: Mapping[str, Any]) -> None:
    """Whole, or not there."""
    half = file.with_suffix(".half")
    half.write_text(json.dumps(content))
    half.rename(file)


def _main(names: list[str]) -> None:
    if names:
        hooks = catalogue()
        compiler: Compiler = Asking(Path(os.environ["EBPFTOP_COMPILE"]), hooks.values())
        assert isinstance(compiler, Asking)
        compiler.prepare(hooks[name] for name in names)
    else:
        compiler = Compiler()
        print(json.dumps(_answer(compiler, json.load(sys.stdin))))
    compiler.close()


if __name__ == "__main__":
    _main(sys.argv[1:])
