"""Keeping what the screen sees: the last minutes to a file, and what comes from now on."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from probes.recording.tape import Frame, Tape
from probes.recording.writer import RecordingError, RecordingFile
from probes.source import Host, Source
from probes.units import octets, printable
from tui.screen.actions.playback import Playback
from tui.session.view import clock
from tui.table.lines import Span
from tui.widgets.prompt import Question


def save(tape: Tape, path: Path, host: Host, hooks: Iterable[str]) -> str:
    """Everything that a tape holds to a new file; a sentence on it. Raises RecordingError."""
    file = RecordingFile(path, host, hooks)
    try:
        for frame in tape.frames():
            file.write(frame)
    finally:
        file.close()
    return f"{_said(file)} from {clock(tape.moment(tape.first).wall)} on"


class Recorder:
    """Writes what comes on a tape to a new file, from now until `stop`. Raises RecordingError."""

    def __init__(self, tape: Tape, path: Path, host: Host, hooks: Iterable[str]) -> None:
        self._file = RecordingFile(path, host, hooks)
        tape.cut()

    @property
    def text(self) -> str:
        return f"REC {self._file.moments}"

    def write(self, frame: Frame) -> None:
        """Raises RecordingError; the file is whole and ended then."""
        try:
            self._file.write(frame)
        except RecordingError:
            self._file.close()
            raise

    def stop(self) -> str:
        """A sentence on what there is."""
        self._file.close()
        return _said(self._file)


def _said(file: RecordingFile) -> str:
    if not file.moments:
        return "nothing was recorded: no moment came"
    return f"{printable(str(file.path))}: {file.moments} moments, {octets(file.size)}"


class Recording(Playback):
    """The keys that keep."""

    recorder: Recorder | None = None

    def __init__(self, source: Source, **options: Any) -> None:
        super().__init__(source, **options)
        self.before_exit(self.stop_recording)

    def action_save(self) -> None:
        tape = self._tape()
        if tape is None:
            return

        def save_to(path: Path) -> str:
            self.collector.close_tick()
            return save(tape, path, self.source.host, self.source.catalogue)

        self._ask("Save the last minutes as:", save_to)

    def action_record(self) -> None:
        """Begin, or end."""
        tape = self._tape()
        if tape is None:
            return
        if self.recorder is not None:
            self._tell(self.stop_recording(), "information")
            return

        def begin(path: Path) -> str:
            self.recorder = Recorder(tape, path, self.source.host, self.source.catalogue)
            self.collector.keep = self._keep
            return f"recording to {printable(str(path))}; w ends it"

        self._ask("Record from now on to:", begin)

    def stop_recording(self) -> str:
        """End it where there is one; what was recorded."""
        recorder, self.recorder, self.collector.keep = self.recorder, None, None
        return recorder.stop() if recorder is not None else ""

    def _keep(self, frame: Frame) -> None:
        if self.recorder is not None:
            try:
                self.recorder.write(frame)
            except RecordingError as failed:
                self.recorder = self.collector.keep = None
                self._tell(str(failed), "error")

    def _tape(self) -> Tape | None:
        tape = self.collector.tape
        if isinstance(tape, Tape):
            return tape
        self._tell("this is a recording already", "information")
        return None

    def _ask(self, text: str, work: Callable[[Path], str]) -> None:
        def answered(name: str | None) -> None:
            if not name:
                return
            try:
                self._tell(work(_path(name)), "information")
            except (RecordingError, PathError) as failed:
                self._tell(str(failed).replace("; --force overwrites it", ""), "error")
            self.paint()

        self.prompt.ask(Question(text, answered, answer=self._file_name(), note=_where))

    def _file_name(self) -> str:
        host = re.sub(r"[^\w.-]", "_", self.source.host.name)
        return f"ebpftop-{host}-{time.strftime('%Y%m%d-%H%M%S')}.rec"

    def _note(self) -> Span:
        text, role = super()._note()
        return (f"{self.recorder.text}  {text}", "bad") if self.recorder else (text, role)


class PathError(Exception):
    """What is no path to write to; one sentence."""


def _path(name: str) -> Path:
    """What is typed as a path. Raises PathError."""
    try:
        path = Path(name).expanduser()
        os.fsencode(path)
    except RuntimeError:
        user = printable(name.partition("/")[0])
        raise PathError(f"there is no home of {user}: write the path in full") from None
    except ValueError:  # a lone surrogate; NUL in a user's name
        path = Path("\0")
    if "\0" in str(path):
        raise PathError("a path cannot have such characters in it")
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
