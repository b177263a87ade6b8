"""Shared by all tests: a fixed time zone, and the goldens' place."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest_textual_snapshot
from syrupy.location import PyTestLocation

os.environ["TZ"] = "UTC"  # screens show the time of day
time.tzset()
os.environ.pop("NO_COLOR", None)  # chooses another theme
os.environ["COLORTERM"] = "truecolor"

SCREENS = Path(__file__).parent.parent / "snapshots" / "screens"


class _Screens(pytest_textual_snapshot.SVGImageExtension):  # type: ignore[misc]
    """Goldens in snapshots/screens/, named by what they show: the test's parameter."""

    @classmethod
    def dirname(cls, **_location: object) -> str:
        return str(SCREENS)

    @classmethod
    def get_snapshot_name(cls, *, test_location: PyTestLocation, **_index: object) -> str:
        # The file's name as well; were the two to differ, each golden would count as unused.
        return test_location.nodename.partition("[")[2].rstrip("]")


pytest_textual_snapshot.SVGImageExtension = _Screens
