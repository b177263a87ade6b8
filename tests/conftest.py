"""Shared by all tests: a fixed time zone, and as many colours as there are."""

from __future__ import annotations

import os
import time

os.environ["TZ"] = "UTC"  # screens show the time of day
time.tzset()
os.environ.pop("NO_COLOR", None)  # chooses another theme
os.environ["COLORTERM"] = "truecolor"
