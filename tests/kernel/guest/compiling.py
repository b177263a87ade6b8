"""Compiling for a guest on this machine, which takes a tenth of the time that emulation does.

What comes out is the same, byte for byte: the guest has this machine's bcc, and says with which
source, flags and kernel types. They meet in a folder: the guest leaves N.asked, gets N.answer.
What nobody answers, or answers with an error, the guest compiles itself.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

from probes import compiled
from probes.errors import ProbeError
from probes.kernel import Compiler
from probes.model import Hook

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
        place = request["kernel_source"]
        answer = None if self._nobody or place is None else self._answer(request, Path(place))
        if answer is None:
            return super().ask(request)
        return answer, compiled.created(answer["maps"])

    def _answer(self, request: Mapping[str, Any], tree: Path) -> dict[str, Any] | None:
        there = self._folder / tree.name
        with self._copying:
            if not there.exists():
                shutil.copytree(tree, there)
        asked = self._folder / f"{next(self._numbers)}.asked"
        _write(asked, request)
        answered, deadline = asked.with_suffix(".answer"), time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if answered.exists():
                answer: dict[str, Any] = json.loads(answered.read_text())
                return answer or None
            time.sleep(_LOOK)
        self._nobody = True
        return None


@contextmanager
def answering(folder: Path) -> Iterator[None]:
    """On this machine: answers what is asked in the folder until the end."""
    folder.mkdir(exist_ok=True)
    ended = threading.Event()
    worker = threading.Thread(target=_serve, args=(folder, ended))
    worker.start()
    try:
        yield
    finally:
        ended.set()
        worker.join()


def _serve(folder: Path, ended: threading.Event) -> None:
    compiler = Compiler()
    try:
        while not ended.wait(_LOOK):
            for asked in folder.glob("*.asked"):
                answered = asked.with_suffix(".answer")
                if not answered.exists():
                    _write(answered, _compiled(compiler, folder, asked.read_text()))
    finally:
        compiler.close()


def _compiled(compiler: Compiler, folder: Path, asked: str) -> Mapping[str, Any]:
    place = json.loads(asked)["kernel_source"]
    request = json.loads(asked.replace(place, str(folder / Path(place).name)))
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
