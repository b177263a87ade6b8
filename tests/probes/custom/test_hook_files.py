"""A user's own hook files: whose may be loaded, and what a broken one costs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from probes.custom import hook_files
from probes.errors import ProbeError
from probes.model import Hook, Opening

GOOD = '''
"""Numbers from a file."""
from probes.model import Column, Hook, Kind, Reading, Rung
from probes.toolkit import process
from probes.units import Unit

HOOK = Hook(
    name="mine",
    title="Mine",
    question="What is mine.",
    columns=(
        Column("what", "What", kind=Kind.KEY, help="a name"),
        Column("n", "N", Unit.COUNT, Kind.COUNTER, help="how many"),
        Column("half", "Half", Unit.COUNT, Kind.DERIVED, derive=lambda v: v["n"] / v["none"]),
    ),
    ladder=(Rung("plain", "nothing", lambda opening: READ),),
)
'''
READ = "READ = lambda: Reading([('a', 1)])\n"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user: needs root")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "ebpftop" / "hooks"
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    return folder


def _put(folder: Path, text: str, name: str = "mine.py") -> Path:
    file = folder / name
    file.write_text(text)
    file.chmod(0o644)
    return file


def _load(folder: Path) -> hook_files.LoadedFiles:
    hook_files.load.cache_clear()
    return hook_files.load(folder, frozenset({"syscalls"}))


def _opening(hook: Hook) -> Opening:
    return Opening(hook, {}, None, 0)


def test_a_good_file_is_a_hook(folder: Path) -> None:
    _put(folder, GOOD.replace("HOOK =", f"{READ}HOOK ="))
    loaded = _load(folder)
    assert loaded.complaints == ()
    (hook,) = loaded.hooks
    assert hook.name == "mine"
    assert list(hook.ladder[0].open(_opening(hook))().rows) == [("a", 1)]


def test_no_folder_is_no_complaint(tmp_path: Path) -> None:
    assert _load(tmp_path / "nothing") == hook_files.LoadedFiles()
    assert hook_files.load(None, frozenset()) == hook_files.LoadedFiles()


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_a_file_that_others_may_write_is_not_loaded(folder: Path, mode: int) -> None:
    _put(folder, "raise SystemError('it was run')").chmod(mode)
    loaded = _load(folder)
    assert loaded.hooks == ()
    (said,) = loaded.complaints
    assert "others may write" in said
    assert "chmod go-w" in said


@pytest.mark.parametrize("up", [0, 1])
def test_a_folder_that_others_may_write_is_not_loaded_from(folder: Path, up: int) -> None:
    _put(folder, GOOD)
    (folder, folder.parent)[up].chmod(0o775)
    loaded = _load(folder)
    assert loaded.hooks == ()
    (said,) = loaded.complaints
    assert "others may write" in said


@as_root
def test_another_user_s_file_or_folder_is_not_loaded(folder: Path) -> None:
    """As a user's, whom sudo made root: their own configuration is not root's."""
    file = _put(folder, GOOD)
    os.chown(file, 65534, 65534)
    (said,) = _load(folder).complaints
    assert "belongs to nobody, not to root" in said
    os.chown(file, 0, 0)
    os.chown(folder, 65534, 65534)
    loaded = _load(folder)
    assert loaded.hooks == ()
    assert "belongs to nobody" in loaded.complaints[0]


@as_root
def test_a_link_is_judged_by_what_it_leads_to(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    os.chown(elsewhere, 65534, 65534)
    (folder / "mine.py").symlink_to(_put(elsewhere, GOOD))
    (said,) = _load(folder).complaints
    assert "belongs to nobody" in said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("HOOK = Hook(", "line 1: "),
        ("x = 1", "no HOOK"),
        ("HOOK = 'a hook'", "no HOOK"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import nothing.like.it", "ModuleNotFoundError"),
        (GOOD.replace('"mine"', '"My Hook"'), "lower-case words"),
        (GOOD.replace('"mine"', '"syscalls"'), "a hook syscalls exists already"),
        (GOOD.replace('title="Mine"', "title=3"), "title of HOOK is int, not str"),
        (GOOD.replace("kind=Kind.KEY, ", ""), "one column of Kind.KEY"),
        (GOOD.replace("Unit.COUNT, Kind.COUNTER", '"count", Kind.COUNTER'), "unit of a column"),
        (GOOD.replace('"nothing", lambda opening: READ', '"nothing", None'), "no function open"),
        (GOOD.replace('Column("what"', 'process("it"), Column("what"'), "needs a star"),
        (GOOD.replace("ladder=(Rung", "ladder=(str"), "TypeError"),
        (GOOD.replace('ladder=(Rung("plain", "nothing", lambda opening: READ),)', "ladder=()"),
         "at least one rung"),
    ],
)  # fmt: skip
def test_a_broken_file_costs_a_sentence(folder: Path, text: str, says: str) -> None:
    """And the others are loaded all the same."""
    _put(folder, text, "broken.py")
    _put(folder, GOOD.replace('"mine"', '"other"'), "other.py")
    loaded = _load(folder)
    assert [hook.name for hook in loaded.hooks] == ["other"]
    (said,) = loaded.complaints
    assert says in said
    assert "broken.py" in said
    assert "\n" not in said


def test_two_files_with_one_name_are_one_hook(folder: Path) -> None:
    _put(folder, GOOD, "a.py")
    _put(folder, GOOD, "b.py")
    loaded = _load(folder)
    assert len(loaded.hooks) == 1
    assert "b.py: a hook mine exists already" in loaded.complaints[0]


@pytest.mark.parametrize(
    ("read", "says"),
    [
        ("READ = None\n", "TypeError"),
        ("READ = lambda: Reading([('a',)])\n", "1 values for 2 columns"),
        ("READ = lambda: Reading([(['a'], 1)])\n", "holds a list"),
        ("def READ():\n    raise KeyError('x')\n", "KeyError: 'x'"),
        ("READ = lambda: 3\n", "AttributeError"),
    ],
)
def test_what_fails_later_is_a_refusal(folder: Path, read: str, says: str) -> None:
    _put(folder, GOOD.replace("HOOK =", f"{read}HOOK ="))
    (hook,) = _load(folder).hooks
    with pytest.raises(ProbeError) as refused:
        hook.ladder[0].open(_opening(hook))()
    assert says in refused.value.why
    assert "mine.py" in refused.value.why


def test_a_value_that_cannot_be_derived_is_not_known(folder: Path) -> None:
    _put(folder, GOOD)
    (hook,) = _load(folder).hooks
    derive = hook.column("half").derive
    assert derive is not None
    assert derive({"n": 3}) is None
