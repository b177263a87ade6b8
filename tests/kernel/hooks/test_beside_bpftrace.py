"""What bpftrace counts of the kernel's drops and XDP's, beside ours, under the same traffic."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from probes.hooks import catalogue
from probes.ladder.attachment import Attachment, Modules
from tests.support.foreign import somebody
from tests.support.namespaces import FRAME, namespace, send, veth
from tests.support.scenarios import values

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.anywhere,
    pytest.mark.skipif(shutil.which("bpftrace") is None, reason="bpftrace is not installed"),
]

N = 25
ONE_LINER = """
BEGIN { printf("ready\\n"); }
tracepoint:skb:kfree_skb /args->protocol == 0x88b5/ {
    @[args->reason, ksym(args->location)] = count();
}
"""


XDP = """
BEGIN { printf("ready\\n"); }
tracepoint:xdp:xdp_exception /args->ifindex == INDEX/ { @aborted = count(); }
tracepoint:xdp:xdp_redirect_err /args->ifindex == INDEX/ { @redirect = count(); }
tracepoint:xdp:xdp_bulk_tx /args->ifindex == INDEX/ { @tx = sum(args->drops); }
"""


@contextmanager
def _bpftrace(program: str) -> Iterator[list[str]]:
    """Runs it; its output is in the list when it has ended."""
    output: list[str] = []
    pipe = subprocess.PIPE
    with subprocess.Popen(
        ("bpftrace", "-e", program), stdout=pipe, stderr=pipe, text=True
    ) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line.strip() == "ready":
                    break
            else:
                assert process.stderr is not None
                pytest.skip(f"bpftrace: {process.stderr.read().strip()[-200:]}")
            yield output
            process.send_signal(signal.SIGINT)
            output += process.communicate(timeout=60)[0].splitlines()
        finally:
            process.kill()


def test_drops_by_reason_and_place(modules: Modules) -> None:
    attachment = Attachment(catalogue()["drops"], modules)
    attachment.climb()
    try:
        with namespace(), _bpftrace(ONE_LINER) as output:
            veth()
            send("v1", N)
            rows = [r for r in values(attachment) if r["protocol"] == "0x88b5"]
    finally:
        attachment.detach()
    theirs = re.findall(r"@\[(\d+), ([\w.]+)[^\]]*\]: (\d+)", "\n".join(output))
    assert [(place, int(packets)) for _, place, packets in theirs] == [
        (str(r["location"]).partition("+")[0], r["packets"]) for r in rows
    ]
    assert sum(r["packets"] for r in rows) == N


def test_what_xdp_programs_lose(modules: Modules, tmp_path: Path) -> None:
    attachment = Attachment(catalogue()["xdp-errors"], modules)
    try:
        with namespace(), somebody(tmp_path) as them:
            attachment.climb()  # what is in other namespaces is not counted
            index, _ = veth()
            them.put(them.load("xdp by byte", "acme_xdp"), index, "native")
            with _bpftrace(XDP.replace("INDEX", str(index))) as output:
                for byte, frames in {0: N, 4: N + 1, 3: N + 2}.items():
                    send("v1", frames, FRAME[:14] + bytes([byte]) + FRAME[15:])
                time.sleep(0.5)  # a veth takes packets in when its CPU comes to it
                rows = {r["answer"]: r["packets"] for r in values(attachment)}
    finally:
        attachment.detach()
    theirs = re.findall(r"@(\w+): (\d+)", "\n".join(output))
    assert {answer: int(packets) for answer, packets in theirs} == rows
    assert rows == {"aborted": N, "redirect": N + 1, "tx": N + 2}
