"""Files that are not TOML, or more than any: one phrase, in settings and in themes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui.config import settings, theme, toml

BROKEN = [
    (b"\xff", "it is not UTF-8 (byte 0)"),
    (b"theme = 'caf\xe9'", "it is not UTF-8 (byte 12)"),
    (b"a = " + b"{a = " * 2000, "its values are nested too deeply"),
    (b"a = " + b"[" * 5000, "its values are nested too deeply"),
    (b"interval = " + b"9" * 5000, "Exceeds the limit"),
    (b"interval =", "Invalid value"),
    (b"a = 2025-02-30", "Invalid date or datetime"),
]


@pytest.mark.parametrize(("written", "words"), BROKEN)
def test_what_is_not_toml_is_one_phrase(tmp_path: Path, written: bytes, words: str) -> None:
    file = tmp_path / "broken.toml"
    file.write_bytes(written)
    (problem,) = settings.load(file).problems
    assert words in str(problem)
    assert str(problem).endswith("; using the defaults")
    with pytest.raises(settings.SettingsError, match="not saved"):
        settings.save(file, {"theme": "dark"})
    assert file.read_bytes() == written
    with pytest.raises(theme.ThemeError) as caught:
        theme.read(file)
    assert words in str(caught.value)


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(toml.NotToml, match="not a regular file"):
        toml.read(tmp_path)
    with pytest.raises(FileNotFoundError):
        toml.read(tmp_path / "nosuch")
    with pytest.raises(theme.ThemeError, match="it has gone"):
        theme.read(tmp_path / "nosuch")
