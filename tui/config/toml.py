"""TOML files that a user wrote: what is in them, or one phrase on what is wrong."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from probes.recording import files


class NotToml(ValueError):
    """The file cannot be read as TOML; one phrase."""


def read(file: Path) -> tuple[str, dict[str, Any]]:
    """Return a file's text and values. Raises NotToml, FileNotFoundError."""
    try:
        text = files.read(file)
        return text, tomllib.loads(text)
    except FileNotFoundError:
        raise
    except OSError as refused:
        raise NotToml(refused.strerror) from None
    except UnicodeDecodeError as wrong:
        raise NotToml(f"it is not UTF-8 (byte {wrong.start})") from None
    except RecursionError:
        raise NotToml("its values are nested too deeply") from None
    except ValueError as wrong:  # tomllib's own, and Python's for a number of too many digits
        raise NotToml(str(wrong)) from None
