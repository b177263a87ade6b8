"""The host's settings below the user's."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui.config import in_force, settings


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The user's file and the host's, both empty."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(in_force, "HOST", tmp_path / "etc.toml")
    settings.path().parent.mkdir()
    settings.path().touch()
    in_force.HOST.touch()
    return in_force.files()


def test_the_host_s_hold_where_the_user_s_say_nothing(files: tuple[Path, Path]) -> None:
    user, host = files
    host.write_text(
        'theme = "light"\ninterval = 5.0\npanes = ["rtt"]\n[keys]\nquit = "x"\nzoom = []\n'
    )
    user.write_text('theme = "mono"\n[keys]\nquit = "Q"\n')
    found = in_force.load()
    assert (found.theme, found.interval, found.panes) == ("mono", 5.0, ("rtt",))
    assert found.keys == {"quit": ("Q",), "zoom": ()}


def test_neither_need_be_there(files: tuple[Path, Path]) -> None:
    for file in files:
        file.unlink()
    assert in_force.load() == settings.Settings()


def test_a_mistake_in_the_host_s_is_told_and_keeps_nobody_from_saving(
    files: tuple[Path, Path],
) -> None:
    user, host = files
    host.write_text("interval = 0\n")
    found = in_force.load()
    assert [problem.partition(":")[0] for problem in found.problems] == [f"{host}, line 1"]
    assert not found.broken
    settings.save(user, {"theme": "dark"}, in_force.host())
    assert in_force.load().theme == "dark"


def test_a_default_is_written_where_the_host_s_say_otherwise(files: tuple[Path, Path]) -> None:
    user, host = files
    host.write_text('interval = 5.0\nunits = "bits"\n')
    settings.save(user, {"interval": 1.0, "units": "bits", "ascii": False}, in_force.host())
    assert [line for line in user.read_text().splitlines() if line] == ["interval = 1.0"]
    assert in_force.load().interval == 1.0


def test_what_is_ordinary_on_the_host_is_taken_back_there(files: tuple[Path, Path]) -> None:
    user, host = files
    host.write_text('[ordinary."a"]\nwho = "x"\n[ordinary."b"]\n')
    user.write_text('[ordinary."a"]\nwho = "y"\n[ordinary."c"]\n')
    assert [(e.what, e.who) for e in in_force.load().ordinary] == [
        ("a", ("y",)), ("c", ()), ("b", ()),
    ]  # fmt: skip
    with pytest.raises(settings.SettingsError, match=r"b is ordinary in .*etc\.toml: remove it"):
        in_force.forget_ordinary("b")
    in_force.forget_ordinary("c")
    assert [e.what for e in in_force.load().ordinary] == ["a", "b"]
