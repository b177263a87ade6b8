"""What is taken along: what is copied and how, exports, pictures; files over nothing."""

from __future__ import annotations

import base64
import csv
import io
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from probes.units import Unit
from tests.support.stage import playing, settle
from tui.table.fields import Field, TableRow
from tui.terminal import clipboard, files

FIELDS = (Field("comm", "Command", Unit.TEXT), Field("srtt_us", "SRTT", Unit.US))
ROWS = (
    TableRow(1, "a", {"comm": "nginx", "srtt_us": 1500}),
    TableRow(2, "b", {"comm": "=cmd|x\x1b[2J", "srtt_us": None}),
)


def _sent(sequence: str) -> bytes:
    return base64.b64decode(sequence.partition("52;c;")[2].partition("\x07")[0])


def test_a_plain_terminal_gets_osc_52() -> None:
    """With all of the text."""
    way = clipboard.way("hällo\n", {"TERM": "xterm-256color"})
    assert way.sequence.startswith("\x1b]52;c;")
    assert way.sequence.endswith("\x07")
    assert _sent(way.sequence).decode() == "hällo\n"
    assert way.sure


def test_screen_gets_it_in_pieces_that_pass() -> None:
    """Each in a string of its own; put together they are the sequence."""
    text = "x" * 2000
    way = clipboard.way(text, {"TERM": "screen", "STY": "1.pts"})
    pieces = way.sequence.split("\x1b\\")[:-1]
    assert len(pieces) > 5
    assert all(p.startswith("\x1bP") and len(p) < 256 for p in pieces)
    assert _sent("".join(p.removeprefix("\x1bP") for p in pieces)).decode() == text


def test_tmux_without_its_command_is_passed_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """Escapes doubled, as tmux wants them."""
    monkeypatch.setattr(clipboard.shutil, "which", lambda _: None)  # type: ignore[attr-defined]
    way = clipboard.way("a", {"TERM": "tmux-256color", "TMUX": "/tmp/t,1,0"})
    assert way.sequence == "\x1bPtmux;\x1b\x1b]52;c;YQ==\x07\x1b\\"


def test_tmux_takes_it_by_its_own_command(tmp_path: Path) -> None:
    """A real tmux: its buffer has the text, whatever it lets programs do."""
    socket = tmp_path / "tmux"
    tmux = ["tmux", "-S", str(socket), "-f", "/dev/null"]
    try:
        subprocess.run([*tmux, "new-session", "-d", "sleep 60"], check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no tmux here")
    try:
        way = clipboard.way("to tmux\n", {"TERM": "screen-256color", "TMUX": f"{socket},1,0"})
        shown = subprocess.run([*tmux, "show-buffer"], capture_output=True, check=True)
        assert shown.stdout == b"to tmux\n"
        assert way.sequence == ""
        assert "tmux's buffer" in way.says
    finally:
        subprocess.run([*tmux, "kill-server"], check=False)


@pytest.mark.parametrize(
    ("text", "environ", "words"),
    [
        ("x" * 80_000, {"TERM": "xterm"}, "too long"),
        ("x", {"TERM": "linux"}, "no clipboard"),
        ("x", {"TERM": "dumb"}, "no clipboard"),
        ("x", {"TERM": "screen-256color"}, "if they let it pass"),
    ],
)
def test_where_it_may_not_arrive_a_file_is_needed(
    text: str, environ: dict[str, str], words: str
) -> None:
    """And it is said why."""
    way = clipboard.way(text, environ)
    assert words in way.says
    assert not way.sure


def test_files_are_new_private_and_over_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two in one second are two; a link that waits there is not followed."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    paths = [files.write_new("copy", "txt", str(n)) for n in range(3)]
    assert [p.read_text() for p in paths] == ["0", "1", "2"]
    assert {p.stat().st_mode & 0o777 for p in paths} == {0o600}
    assert paths[0].parent == tmp_path / "ebpftop"


def test_csv_and_json_have_raw_values() -> None:
    """Unknown is empty and null; a name that is a formula is text; no controls."""
    rows = list(csv.reader(io.StringIO(clipboard.as_csv(FIELDS, ROWS))))
    assert rows == [["comm", "srtt_us"], ["nginx", "1500"], ["'=cmd|x?[2J", ""]]
    document = json.loads(clipboard.as_json({"pane": "rtt"}, FIELDS, ROWS))
    assert document == {
        "pane": "rtt",
        "rows": [
            {"comm": "nginx", "srtt_us": 1500}, {"comm": "=cmd|x?[2J", "srtt_us": None},
        ],
    }  # fmt: skip


# On the screen


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    for name in ("TMUX", "STY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "linux")  # so that everything goes to files
    return tmp_path / "ebpftop"


async def _pressed(pilot: Any, *keys: str) -> str:
    await pilot.press(*keys)
    await settle(pilot)
    return str(list(pilot.app._notifications)[-1].message)


async def test_rows_details_and_tables_are_copied(state: Path) -> None:
    """y has the row or the detail, Y the table; the toast says where it went."""
    async with playing(size=(120, 40)) as (_, pilot):
        said = await _pressed(pilot, "y")
        assert "this terminal has no clipboard; written to" in said
        (row,) = state.glob("copy-*.txt")
        assert row.read_text().startswith("Interface: eth1\nRX/s: ")
        row.unlink()
        await _pressed(pilot, "enter", "y")
        (detail,) = state.glob("copy-*.txt")
        assert "Why the kernel dropped" in detail.read_text()
        detail.unlink()
        await _pressed(pilot, "escape", "slash", *"eth", "enter", "Y")
        (table,) = state.glob("copy-*.txt")
        lines = table.read_text().splitlines()
        assert [line.split("\t")[0] for line in lines] == [
            "Interface", "eth0", "eth1", "veth3f2a1c", "veth90b7de",
        ]  # fmt: skip


async def test_what_a_pane_shows_is_exported(state: Path) -> None:
    """Filtered and sorted as it is; CSV or JSON; Esc writes nothing."""
    async with playing(size=(120, 40)) as (app, pilot):
        await pilot.press("5", "slash", *"rtt>50ms", "enter", "E", "escape")
        assert not state.exists()
        assert "written to" in await _pressed(pilot, "E", "j")
        await _pressed(pilot, "E", "c")
        (exported,) = state.glob("rtt-*.json")
        document = json.loads(exported.read_text())
        assert document["filter"] == "rtt>50ms"
        assert [r["raddr"] for r in document["rows"]] == [
            str(r.values["raddr"]) for r in app.table.rows
        ]
        (exported,) = state.glob("rtt-*.csv")
        assert len(exported.read_text().splitlines()) == len(app.table.rows) + 1


async def test_the_screen_is_a_picture(state: Path) -> None:
    """^S, on every screen."""
    async with playing(size=(80, 24)) as (_, pilot):
        await _pressed(pilot, "ctrl+s")
        (picture,) = state.glob("screen-*.svg")
        assert picture.read_text().startswith("<svg")
        assert "xdp_filter#412" in picture.read_text()


async def test_what_cannot_be_written_is_said(state: Path) -> None:
    """A file stands where the folder should be."""
    state.write_text("")
    async with playing(size=(80, 24)) as (_, pilot):
        assert "could not write a file" in await _pressed(pilot, "ctrl+s")
