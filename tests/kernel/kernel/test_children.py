"""Children that look at files: none may do what this process has given up."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = [pytest.mark.kernel, pytest.mark.anywhere]
GIVEN_UP = """
import os, threading, time
from functools import partial
from probes.kernel import capabilities, patience
from tests.support import patient_calls

idle = patience.within(5, os.getpid)
held = patience._take()[0]
begun = threading.Thread(target=patience.within, args=(5, partial(time.sleep, 0.3)))
begun.start()  # with all that there is
patience._give_back(held)
while not patience._idle:
    time.sleep(0.01)
wanted = [capabilities.SYSLOG]
capabilities.keep(wanted)
begun.join()
assert len(patience._idle) == 1, "one that began before came back"
now, theirs = patience.within(5, patient_calls.capabilities)
assert now != idle
assert theirs == [1 << capabilities.SYSLOG] * 3, theirs
assert patience.within(5, os.getpid) == now
"""


def test_what_is_given_up_is_given_up_by_children_that_began_before() -> None:
    """By one that is idle then, and by one that is at work in a thread that has it still."""
    subprocess.run([sys.executable, "-c", GIVEN_UP], check=True, timeout=60)
