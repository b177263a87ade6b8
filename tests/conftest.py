"""Shared by all tests: a fixed time zone, all colours, and rarer collections of garbage."""

from __future__ import annotations

import gc
import os
import stat
import time

import pytest

os.environ["TZ"] = "UTC"  # screens show the time of day
time.tzset()
os.environ.pop("SUDO_UID", None)  # whose home would be written to
os.environ.pop("NO_COLOR", None)  # chooses another theme
os.environ["COLORTERM"] = "truecolor"
gc.set_threshold(20_000, 20, 50)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Name the test during which /dev/null was replaced: everything written to it fills the disk,
    and what reads it reads that."""
    if not stat.S_ISCHR(os.stat(os.devnull).st_mode):  # noqa: PTH116 - after each test
        pytest.fail(f"/dev/null is no device after {item.nodeid}: mknod -m 666 /dev/null c 1 3")


def pytest_collection_finish() -> None:
    """What thousands of tests consist of stays: looking through it again and again for garbage
    takes a fifth of their time."""
    gc.freeze()
