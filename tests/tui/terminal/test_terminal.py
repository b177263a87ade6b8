"""The screen on a real pseudo-terminal: leaving by every door, and terminals that fail."""

from __future__ import annotations

import base64
import fcntl
import os
import signal
import struct
import termios
import time
from pathlib import Path

import pytest

from tests.support.terminals import ALTERNATE, BACK, Terminal, restored, terminal
from tui.terminal.typed import MAX_MOVES, PASTE_PAUSE, Flood, Pasted

DEMO = """
from probes.sources.demo.source import Demo
from tui.screen.app import run
raise SystemExit(run(Demo(interval=0.2, begin=40)))
"""
CRASH = """
from probes.sources.demo.source import Demo
from tui.screen.app import run
class Broken(Demo):
    async def samples(self, hook):
        async for samples in super().samples(hook):
            yield samples
            if hook == "drops":
                secret = "10.9.8.7"
                raise RuntimeError(f"row of {secret}")
    async def close(self):
        await super().close()
        print("closed")
raise SystemExit(run(Broken(interval=0.2)))
"""


@pytest.mark.parametrize(
    ("sig", "status"),
    [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)],
    ids=["SIGTERM", "SIGHUP", "SIGINT"],
)
def test_signals_restore_the_terminal(sig: signal.Signals, status: int, tmp_path: Path) -> None:
    """Main screen and cursor are back, and the status is 128 + n."""
    with terminal(DEMO, tmp_path) as child:
        child.read_until(b"SOCKET_RCVBUFF")
        before = termios.tcgetattr(child.fd)
        os.kill(child.pid, sig)
        assert child.leave() == status
        assert ALTERNATE in child.output
        assert restored(child)
        assert before[3] & termios.ICANON == 0


@pytest.mark.parametrize("key", [b"q", b"\x03", b"\x11", b"\x1b[21~"], ids=["q", "^C", "^Q", "F10"])
def test_leaving_by_key_is_no_error(key: bytes, tmp_path: Path) -> None:
    """Status 0, terminal restored."""
    with terminal(DEMO, tmp_path) as child:
        child.read_until(b"SOCKET_RCVBUFF")
        os.write(child.fd, key)
        assert child.leave() == 0
        assert restored(child)


@pytest.mark.parametrize("nohup", [False, True], ids=["SIGHUP", "SIGHUP-ignored"])
def test_a_terminal_that_hangs_up_ends_the_process(nohup: bool, tmp_path: Path) -> None:
    """A dropped connection: it goes, also where nobody delivers the signal."""
    with terminal(DEMO, tmp_path, nohup=nohup) as child:
        child.read_until(b"SOCKET_RCVBUFF")
        child.close()
        assert child.leave(read=False) == 128 + signal.SIGHUP


def test_a_terminal_that_takes_nothing_does_not_hold_it(tmp_path: Path) -> None:
    """The other side reads no more (a stalled connection): SIGTERM still ends it."""
    with terminal(DEMO.replace("0.2", "0.05"), tmp_path) as child:
        child.read_until(b"SOCKET_RCVBUFF")
        time.sleep(2)  # until the pseudo-terminal's buffer is full
        os.kill(child.pid, signal.SIGTERM)
        assert child.leave(read=False) == 143


def test_a_crash_restores_detaches_and_reports_without_values(tmp_path: Path) -> None:
    """Status 1, one sentence, everything closed; the report has places but no values."""
    with terminal(CRASH, tmp_path) as child:
        assert child.leave() == 1
        assert restored(child)
        after = child.output[child.output.rindex(BACK) :]
        assert b"closed" in after
        assert b"internal error (RuntimeError); the report is in" in after
        assert b"Traceback" not in after
    (report,) = (tmp_path / "ebpftop").glob("crash-*.txt")
    text = report.read_text()
    assert "RuntimeError" in text
    assert "10.9.8.7" not in text
    assert report.stat().st_mode & 0o077 == 0


def test_resizing_while_live_is_followed(tmp_path: Path) -> None:
    """A wider terminal shows more columns."""
    with terminal(DEMO, tmp_path) as child:
        child.read_until(b"SOCKET_RCVBUFF")
        os.write(child.fd, b"2")
        child.read_until(b"[2 Ifaces")
        assert b"TC out/s" not in child.output
        fcntl.ioctl(child.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
        os.kill(child.pid, signal.SIGWINCH)
        child.read_until(b"TC out/s")
        os.write(child.fd, b"q")
        assert child.leave() == 0


@pytest.mark.parametrize("by", ["key", "SIGTSTP"])
def test_suspended_it_gives_the_terminal_back_and_takes_it_again(by: str, tmp_path: Path) -> None:
    """^Z: main screen, cursor and line mode; after SIGCONT all is drawn anew, and keys work."""
    with terminal(DEMO, tmp_path) as child:
        child.read_until(b"SOCKET_RCVBUFF")
        os.write(child.fd, b"3")
        child.read_until(b"[3 Calls")
        if by == "key":
            os.write(child.fd, b"\x1a")
        else:
            os.kill(child.pid, signal.SIGTSTP)
        child.until_state("T")
        child.take()
        assert restored(child)
        assert termios.tcgetattr(child.fd)[3] & termios.ICANON
        child.output = b""
        os.kill(child.pid, signal.SIGCONT)
        child.read_until(ALTERNATE)
        child.read_until(b"[3 Calls")
        assert not termios.tcgetattr(child.fd)[3] & termios.ICANON
        os.write(child.fd, b"4")
        child.read_until(b"[4 Conns")
        os.write(child.fd, b"q")
        assert child.leave() == 0
        assert restored(child)


def test_stopped_by_somebody_else_it_goes_on(tmp_path: Path) -> None:
    """SIGSTOP asks nobody; after SIGCONT one key is one key."""
    with terminal(DEMO, tmp_path) as child:
        child.read_until(b"SOCKET_RCVBUFF")
        os.kill(child.pid, signal.SIGSTOP)
        child.until_state("T")
        child.output = b""
        os.kill(child.pid, signal.SIGCONT)
        child.read_until(b"[1 Overview")
        os.write(child.fd, b"\t")
        child.read_until(b"[2 Ifaces")
        os.write(child.fd, b"q")
        assert child.leave() == 0
        assert b"[3 Calls" not in child.output


def test_a_terminal_that_takes_nothing_costs_no_cpu(tmp_path: Path) -> None:
    """Minutes of a stalled connection: it waits. When it goes on, the screen is the latest."""
    with terminal(DEMO.replace("0.2", "0.1"), tmp_path, size=(200, 50)) as child:
        child.read_until(b"SOCKET_RCVBUFF")
        time.sleep(1)  # until the pseudo-terminal's buffer is full
        before, begin = _cpu(child), time.monotonic()
        time.sleep(1)
        assert _cpu(child) - before < (time.monotonic() - begin) / 2, "it spins"
        child.output = b""
        os.write(child.fd, b"3")
        child.read_until(b"[3 Syscalls")
        os.write(child.fd, b"qq")  # by now the demo has a drop rule, and asks
        assert child.leave() == 0


def _cpu(child: Terminal) -> float:
    """Seconds of CPU that it has used."""
    fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_narrow_terminal_gets_a_sentence(tmp_path: Path) -> None:
    """And the screen as soon as there is space."""
    with terminal(DEMO, tmp_path, size=(28, 5)) as child:
        child.read_until(b"too small")
        fcntl.ioctl(child.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        os.kill(child.pid, signal.SIGWINCH)
        child.read_until(b"Overview")
        os.write(child.fd, b"q")
        assert child.leave() == 0


@pytest.mark.parametrize(
    ("colours", "there", "not_there"),
    [
        ({"COLORTERM": "truecolor", "TERM": "xterm-256color"}, b";38;2;", b";38;5;"),
        ({"COLORTERM": "", "TERM": "xterm-256color"}, b"38;5;", b"38;2;"),
        ({"COLORTERM": "", "TERM": "xterm-16color"}, b"\x1b[0;", b"38;"),
        ({"COLORTERM": "", "TERM": "screen-256color"}, b"38;5;", b"38;2;"),
        ({"COLORTERM": "truecolor", "NO_COLOR": "1"}, b"\x1b[0;", b"38;"),
    ],
    ids=["true", "256", "16", "screen", "NO_COLOR"],
)
def test_as_many_colours_as_the_terminal_has(
    colours: dict[str, str], there: bytes, not_there: bytes, tmp_path: Path
) -> None:
    """By COLORTERM and TERM, or none."""
    with terminal(DEMO, tmp_path, **colours) as child:
        child.read_until(b"SOCKET_RCVBUFF")
        assert there in child.output
        assert not_there not in child.output
        os.write(child.fd, b"q")
        assert child.leave() == 0


@pytest.mark.parametrize("mouse", [True, False], ids=["mouse", "no-mouse"])
def test_the_mouse_is_left_alone_where_it_is_not_wanted(mouse: bool, tmp_path: Path) -> None:
    """--no-mouse: the terminal selects text as everywhere; wanted, it is given back at the end."""
    with terminal(DEMO.replace("40))", f"40), mouse={mouse})"), tmp_path) as child:
        child.read_until(b"SOCKET_RCVBUFF")
        assert (b"\x1b[?1000h" in child.output) is mouse
        os.write(child.fd, b"q")
        assert child.leave() == 0
        assert (b"\x1b[?1000l" in child.output) is mouse


def test_what_is_copied_goes_to_the_terminal(tmp_path: Path) -> None:
    """OSC 52 with the row; the screen says so."""
    with terminal(DEMO, tmp_path, TMUX="", STY="") as child:
        child.read_until(b"SOCKET_RCVBUFF")
        os.write(child.fd, b"2")
        child.read_until(b"[2 Ifaces")
        os.write(child.fd, b"y")
        child.read_until(b"\x1b]52;c;")
        child.read_until(b"sent to")
        os.write(child.fd, b"q")
        assert child.leave() == 0
    copied = child.output.partition(b"\x1b]52;c;")[2].partition(b"\x07")[0]
    assert base64.b64decode(copied).startswith(b"Interface: eth1\n")


COMMAND = """
import sys
from tui.cli import main
raise SystemExit(main({arguments}))
"""


@pytest.mark.parametrize(
    ("written", "arguments", "shown"),
    [
        ("interval = 5\n", ["demo"], b" 5s"),
        ("interval = 5\n", ["demo", "--interval", "2"], b" 2s"),
        ("interval = \n", ["demo"], b"line 1"),
        ("mouse = 3\n", ["demo"], b"must be"),
    ],
    ids=["settled", "flag", "broken", "wrong"],
)
def test_the_command_takes_the_settings(
    written: str, arguments: list[str], shown: bytes, tmp_path: Path
) -> None:
    """Flags win; what is wrong is said, and the screen comes all the same."""
    folder = tmp_path / "ebpftop"
    folder.mkdir()
    (folder / "settings.toml").write_text(written)
    code = COMMAND.format(arguments=arguments)
    with terminal(code, tmp_path, size=(200, 40), XDG_CONFIG_HOME=str(tmp_path)) as child:
        child.read_until(b"[1 Overview")
        child.read_until(shown)
        os.write(child.fd, b"q")
        assert child.leave() == 0
    assert (folder / "settings.toml").read_text() == written


def test_what_is_pasted_without_brackets_is_told_from_what_is_typed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    pasted = Pasted()

    def take(text: str, *, unfinished: bool = False) -> str | None:
        return pasted.take(text, unfinished=unfinished)

    assert take("q") is None
    assert take("x" * 4095) == "x" * 4095
    assert take("x" * 4095) == take("rest") == ""  # of which no more than the beginning is taken
    now[0] += 1
    assert take("q") is None
    assert take("\x1b[B" * 500) is None  # keys that are held down
    assert take("\x1b[200~" + "x" * 4000) is take("x" * 4000) is take("x\x1b[201~") is None
    assert take("ab\x1b[20") is take("0~" + "x" * 4000) is take("y" * 4096) is None  # cut markers
    assert take("z\x1b[20") is take("1~") is None
    assert take("x" * 4000, unfinished=True) is None
    assert take("x" * 4000) == "x" * 4000
    for _ in range(2):
        now[0] += 0.06
        typed = take("q")
    assert typed is None, "who types behind it is heard, also without a pause"


@pytest.mark.parametrize(
    ("key", "moves"),
    [
        *((key, True) for key in ("\x1b[A", "\x1bOA", "\x1b[1;5A", "\x1b[6~")),
        *((key, False) for key in ("\x1bq", "\x1b[97;1u", "qx\x1b", "\x1b[21~")),
    ],
)
@pytest.mark.parametrize("size", [4096, 4095, 4094, 257])
def test_of_keys_that_nobody_types_only_a_few_that_move_are_taken(
    key: str, moves: bool, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the pieces are cut; what the terminal answers, and ^C, come through whole."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    flood, answer = Flood(), "\x1b[24;80R"
    pasted = key * 3000 + answer + key * 1000 + "\x03" + key * 3000 + "\x1b[<0;3;4m"
    kept = "".join([flood.kept(pasted[n : n + size]) for n in range(0, len(pasted), size)])
    assert kept.endswith(f"{answer}\x03\x1b[<0;3;4m")
    assert kept.removesuffix(f"{answer}\x03\x1b[<0;3;4m") == key * MAX_MOVES * moves
    now[0] += 0.06
    assert flood.kept("q") == ""
    now[0] += 0.06
    assert flood.kept("q") == "q"
    assert flood.kept("\x1b[B" * 80) == "\x1b[B" * 80, "a key that is held down"


def test_a_large_paste_of_keys_does_not_keep_what_is_typed_after_it(tmp_path: Path) -> None:
    """The terminal takes all of it at once, and only a few are keys."""
    with terminal(DEMO, tmp_path) as child:
        child.read_until(b"SOCKET_RCVBUFF")
        child.type_all(b"\x1b[A" * 33_000 + b"\x1bq" * 8000)
        time.sleep(2 * PASTE_PAUSE)
        child.output = b""
        child.type(b"3")
        child.read_until(b"[3 Calls")
        assert b"[2 Ifaces" not in child.output
        child.type_all(b"\x1b[B" * 33_000)
        child.send("TERM")
        assert child.leave() == 143
        assert restored(child)
