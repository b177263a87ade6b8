"""Shared by all tests: a fixed time zone, all colours, and rarer collections of garbage."""

from __future__ import annotations

import gc
import os
import time

os.environ["TZ"] = "UTC"  # screens show the time of day
time.tzset()
os.environ.pop("SUDO_UID", None)  # whose home would be written to
os.environ.pop("NO_COLOR", None)  # chooses another theme
os.environ["COLORTERM"] = "truecolor"
gc.set_threshold(20_000, 20, 50)


def pytest_collection_finish() -> None:
    """What thousands of tests consist of stays: looking through it again and again for garbage
    takes a fifth of their time."""
    gc.freeze()
