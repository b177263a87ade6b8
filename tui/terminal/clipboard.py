"""Copying text to the clipboard of the terminal's user, and tables as text.

OSC 52 is all that works over SSH. It is not acknowledged, so the user is told what was done: sent
to the terminal, given to tmux, or written to a file.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tui.table.fields import Field, TableRow, label

MAX_COPIED = 74_000
"""Bytes that are sent, at most: many terminals take only 100,000 characters of base64."""
_PIECE = 250
"""Characters that screen takes in one string."""
_WITHOUT = ("linux", "dumb", "vt100", "vt220")
"""Terminals without a clipboard."""


class Transfer(NamedTuple):
    """A way to the clipboard.

    sequence: what to write to the terminal, "" for nothing. says: what was done. sure: no file is
    needed beside it.
    """

    sequence: str
    says: str
    sure: bool = True


def way(text: str, environ: Mapping[str, str]) -> Transfer:
    """Return the way for this terminal; nothing is sent if it would not arrive."""
    data = text.encode("utf-8", "replace")
    term = environ.get("TERM", "")
    if len(data) > MAX_COPIED:
        return Transfer("", f"too long for a terminal's clipboard ({len(data)} bytes)", sure=False)
    if term in _WITHOUT:
        return Transfer("", "this terminal has no clipboard", sure=False)
    sequence = f"\x1b]52;c;{base64.b64encode(data).decode()}\x07"
    if environ.get("TMUX"):
        if _tmux_takes(data, environ):
            return Transfer(
                "", "copied to tmux's buffer, and to the clipboard where tmux may set it"
            )
        return Transfer(_for_tmux(sequence), "sent through tmux to the terminal's clipboard")
    if environ.get("STY"):
        return Transfer(_for_screen(sequence), "sent through screen to the terminal's clipboard")
    if term.startswith(("tmux", "screen")):  # by sudo, or by ssh from within: who is it?
        through = _for_tmux(sequence) + _for_screen(sequence)
        return Transfer(through, "sent through tmux or screen, if they let it pass", sure=False)
    return Transfer(sequence, "sent to the terminal's clipboard")


def _tmux_takes(data: bytes, environ: Mapping[str, str]) -> bool:
    """Return whether tmux took it, by its command: by default programs may not set it."""
    tmux = shutil.which("tmux")
    if tmux is None:
        return False
    try:
        done = subprocess.run(
            [tmux, "load-buffer", "-w", "-"],
            input=data,
            capture_output=True,
            timeout=2,
            env=dict(environ),
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _for_tmux(sequence: str) -> str:
    doubled = sequence.replace("\x1b", "\x1b\x1b")
    return f"\x1bPtmux;{doubled}\x1b\\"


def _for_screen(sequence: str) -> str:
    pieces = (sequence[i : i + _PIECE] for i in range(0, len(sequence), _PIECE))
    return "".join(f"\x1bP{piece}\x1b\\" for piece in pieces)


# What is copied and exported


def row_text(fields: Sequence[Field], record: TableRow, bits: bool) -> str:
    """Return a row, a line for each column."""
    return "".join(f"{label(f.title)}: {f.text(record, bits)}\n" for f in fields if f.title != "#")


def table_text(fields: Sequence[Field], records: Sequence[TableRow], bits: bool) -> str:
    """Return the table as it is shown, separated by tabs."""
    lines = [
        [label(f.title) for f in fields],
        *([f.text(r, bits) for f in fields] for r in records),
    ]
    return "".join("\t".join(cells) + "\n" for cells in lines)


def as_csv(fields: Sequence[Field], records: Sequence[TableRow]) -> str:
    """Return raw values under the columns' names; unknown values are empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([f.name for f in fields])
    writer.writerows([_cell(r.values.get(f.name)) for f in fields] for r in records)
    return out.getvalue()


def _cell(value: object) -> object:
    """Quote a name that a spreadsheet would take for a formula: anybody can choose one."""
    if not isinstance(value, str):
        return value
    text = label(value)
    return f"'{text}" if len(text) > 1 and text[0] in "=+-@" else text


def as_json(
    about: Mapping[str, object], fields: Sequence[Field], records: Sequence[TableRow]
) -> str:
    """Return one object: `about`, and `rows` of raw values by column; null: unknown."""
    rows = [{f.name: _value(r.values.get(f.name)) for f in fields} for r in records]
    return json.dumps({**about, "rows": rows}, indent=1) + "\n"


def _value(value: object) -> object:
    return label(value) if isinstance(value, str) else value
