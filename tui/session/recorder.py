"""Making recordings: of the last minutes at once, or of everything from now on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from probes.recording.tape import Frame, Tape
from probes.recording.writer import RecordingError, RecordingFile
from probes.source import Host
from probes.units import octets, printable
from tui.session.view import clock


def save(tape: Tape, path: Path, host: Host, hooks: Iterable[str]) -> str:
    """Write all that a tape holds to a new file; return a sentence on it. Raises RecordingError."""
    file = RecordingFile(path, host, hooks)
    try:
        for frame in tape.frames():
            file.write(frame)
    finally:
        file.close()
    return f"{_said(file)} from {clock(tape.moment(tape.first).wall)} on"


class Recorder:
    """Writes what is added to a tape to a new file, from now until `stop`.

    Raises RecordingError.
    """

    def __init__(self, tape: Tape, path: Path, host: Host, hooks: Iterable[str]) -> None:
        self._file = RecordingFile(path, host, hooks)
        tape.cut()

    @property
    def text(self) -> str:
        return f"REC {self._file.moments}"

    def write(self, frame: Frame) -> None:
        """Add a moment. Raises RecordingError; the file is then complete, and closed."""
        try:
            self._file.write(frame)
        except RecordingError:
            self._file.close()
            raise

    def stop(self) -> str:
        """Close the file; return a sentence on it."""
        self._file.close()
        return _said(self._file)


def _said(file: RecordingFile) -> str:
    if not file.moments:
        return "nothing was recorded: there was no reading yet"
    return f"{printable(str(file.path))}: {file.moments} moments, {octets(file.size)}"
