"""The doctor says what then happens, also where something that compiling needs is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.commands import GUEST, ebpftop

pytestmark = [pytest.mark.kernel, pytest.mark.anywhere]
BCC = next(iter(sorted(Path("/usr").glob("lib/python3*/*-packages/bcc"))), None)


@pytest.mark.skipif(BCC is None or GUEST, reason="there is no bcc here to be hidden")
def test_without_bcc_no_rung_that_needs_it_is_promised() -> None:
    hidden = ("unshare", "-m", "sh", "-c", f'mount -t tmpfs none {BCC} && exec "$@"', "sh")
    doctor = ebpftop("doctor", "--json", before=hidden)
    once = ebpftop("once", "--for", "0.2", "--json", before=hidden)
    said = json.loads(doctor.stdout)
    promised = {h["hook"]: h["predicted"] for h in said["hooks"]}
    stands = {h["hook"]: h["rung"] for h in json.loads(once.stdout)["hooks"]}
    assert {hook: promised[hook] for hook in stands} == stands
    (compiler,) = (f for f in said["facts"] if f["name"] == "compiler")
    assert not compiler["ok"]
    assert "python3-bpfcc" in compiler["remedy"]
