"""A process in a person's words, as ps(1) has them."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from probes.sources.live.process_facts import process_facts


def test_a_process_is_as_ps_tells() -> None:
    words = [sys.executable, "-c", "input()", "odd\x1b[31m", "x" * 2000]
    with subprocess.Popen(words, stdin=subprocess.PIPE) as process:
        told = subprocess.check_output(["ps", "-o", "user:32=", "-p", str(process.pid)], text=True)
        while (found := process_facts(process.pid)) is None or "odd" not in found.command:
            time.sleep(0.01)  # it has not called execve yet
    assert found.command.startswith(f"{sys.executable} -c input() odd")
    assert found.command.isprintable()
    assert len(found.command) < 1200
    assert found.user == told.strip()
    assert abs(found.started - time.time()) < 60


def test_a_kernel_thread_has_its_name_and_what_has_gone_nothing() -> None:
    gone = os.fork()
    if not gone:
        os._exit(0)
    os.waitpid(gone, 0)
    assert process_facts(gone) is None
    assert process_facts(2**40) is None
    thread = process_facts(2)
    assert thread is None or thread.command == "[kthreadd]"
