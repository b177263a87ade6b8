"""Saving what the screen has seen: the last minutes, and everything from now on."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

from probes.recording.tape import Tape
from probes.recording.writer import RecordingError
from probes.units import printable
from tui.screen.context import Actions
from tui.screen.key import NUMBERS, Key
from tui.session.recorder import save
from tui.table.lines import Span
from tui.widgets.prompt import Question


class RecordActions(Actions):
    """Key actions for saving and recording."""

    order = 90
    keys = (
        Key(
            "record.save", "W,shift+w", "W", "save", "", "save the last 15 minutes to a file",
            "Time", modes=NUMBERS,
        ),
        Key(
            "record.start", "w", "w", "record", "", "start or stop recording to a file",
            "Time", modes=NUMBERS,
        ),
    )  # fmt: skip

    def save(self) -> None:
        """Ask for a file, and write the last minutes to it."""
        tape, session = self._tape(), self.screen.session
        if tape is None:
            return

        def save_to(path: Path) -> str:
            session.collector.close_tick()
            return save(tape, path, session.source.host, session.source.catalogue)

        self._ask("Save the last minutes as:", save_to)

    def record(self) -> None:
        """Start recording, or stop."""
        tape, session = self._tape(), self.screen.session
        if tape is None:
            return
        if session.recorder is not None:
            self.screen.toast(session.stop_recording(), "information")
            return

        def begin(path: Path) -> str:
            session.record(tape, path)
            return f"recording to {printable(str(path))}; w stops it"

        self._ask("Record from now on to:", begin)

    def _tape(self) -> Tape | None:
        tape = self.screen.session.collector.tape
        if isinstance(tape, Tape):
            return tape
        self.screen.toast("this is a recording: nothing to record", "information")
        return None

    def _ask(self, text: str, work: Callable[[Path], str]) -> None:
        def answered(name: str | None) -> None:
            if not name:
                return
            try:
                self.screen.toast(work(_path(name)), "information")
            except (RecordingError, PathError) as failed:
                self.screen.toast(str(failed).replace("; --force overwrites it", ""), "error")
            self.screen.repaint()

        self.screen.prompt.ask(Question(text, answered, answer=self._file_name(), note=_where))

    def _file_name(self) -> str:
        host = re.sub(r"[^\w.-]", "_", self.screen.session.source.host.name)
        return f"ebpftop-{host}-{time.strftime('%Y%m%d-%H%M%S')}.rec"

    def note(self) -> str:
        recorder = self.screen.session.recorder
        return recorder.text if recorder is not None else ""


class PathError(Exception):
    """A path that cannot be written to; one sentence."""


def _path(name: str) -> Path:
    """Return the typed text as a path. Raises PathError."""
    try:
        path = Path(name).expanduser()
        os.fsencode(path)
    except RuntimeError:
        user = printable(name.partition("/")[0])
        raise PathError(f"{user} has no home directory: write the path in full") from None
    except ValueError:  # a lone surrogate; NUL in a user's name
        path = Path("\0")
    if "\0" in str(path):
        raise PathError("this path has characters that a file name cannot have")
    return path


def _where(name: str) -> Span:
    if not name:
        return "", ""
    try:
        path = _path(name)
        path.lstat()
    except PathError as wrong:
        return str(wrong), "bad"
    except FileNotFoundError:
        return f"{printable(str(path.absolute()))}", "muted"
    except OSError as refused:
        return f"{_shortened(path)}: {refused.strerror}", "bad"
    return f"{_shortened(path)} is there already", "bad"


def _shortened(path: Path) -> str:
    text = printable(str(path))
    return text if len(text) <= 60 else f"{text[:28]}...{text[-28:]}"
