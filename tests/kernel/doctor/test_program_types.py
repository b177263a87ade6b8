"""What `doctor --programs` says is so, as bpftool, BTF and programs that load tell."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from probes.doctor import program_types
from probes.doctor.program_types import Found
from probes.kernel import bpf
from tests.support.commands import COMMAND, ROOT

pytestmark = pytest.mark.kernel

THEIRS = {
    "xdp": "xdp",
    "tc": "sched_cls",
    "socket-filter": "socket_filter",
    "kprobe": "kprobe",
    "tracepoint": "tracepoint",
    "raw-tracepoint": "raw_tracepoint",
    "perf-event": "perf_event",
    "cgroup-skb": "cgroup_skb",
    "cgroup-sock": "cgroup_sock",
    "sock-ops": "sock_ops",
    "sk-msg": "sk_msg",
}
"""bpftool's names of the types that it can load: those that need no attach type or function."""
UNASKED = {"trace_printk", "trace_vprintk", "probe_write_user"}
"""bpftool does not ask for these, as the kernel logs it."""
SLEEPING = {"copy_from_user", "copy_from_user_task", "ima_inode_hash", "ima_file_hash"}
"""Offered in general, and not to programs that may not sleep."""


@pytest.fixture(scope="module")
def found() -> dict[str, Found]:
    return {f.kind.name: f for f in program_types.examine()}


def _helpers(found: dict[str, Found], name: str) -> set[str]:
    helpers = found[name].helpers
    if helpers is None:
        pytest.skip("this kernel has no BTF to name helpers by")
    return set(helpers)


def test_helpers_are_those_of_bpftool(found: dict[str, Found]) -> None:
    """Where bpftool understands the kernel: newer ones have other words, and then it lists all."""
    command = ("bpftool", "-j", "feature", "probe", "kernel")
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)["helpers"]
    theirs = {
        ours: {name.removeprefix("bpf_") for name in told.get(f"{their}_available_helpers", ())}
        for ours, their in THEIRS.items()
    }
    understands = theirs["xdp"] != theirs["kprobe"]
    for name, listed in theirs.items():
        ours = _helpers(found, name) - UNASKED
        known = listed | set().union(*theirs.values())
        assert ours & known <= listed, name
        if understands:
            assert listed - SLEEPING <= ours, name


def test_helpers_of_xdp_tc_and_kprobes_differ(found: dict[str, Found]) -> None:
    xdp, tc, kprobe = (_helpers(found, name) for name in ("xdp", "tc", "kprobe"))
    assert "xdp_adjust_head" in xdp - tc - kprobe
    assert "skb_store_bytes" in tc - xdp - kprobe
    assert "get_stackid" in kprobe - xdp - tc
    assert "map_lookup_elem" in xdp & tc & kprobe
    assert {"get_stack", "probe_read"} <= kprobe - xdp - tc


def test_contexts_have_the_size_that_btf_tells_and_are_readable_as_far(
    found: dict[str, Found],
) -> None:
    for name in ("tc", "kprobe", "cgroup-sock-addr", "sk-msg"):
        assert found[name].readable == found[name].size
    xdp = found["xdp"]
    assert (xdp.size, xdp.readable) == (24, 20), "the last field is for programs in a devmap"
    assert found["tracepoint"].readable in (2048, 8192)  # PERF_MAX_TRACE_SIZE


def test_return_values_that_the_verifier_takes(found: dict[str, Found]) -> None:
    assert found["cgroup-sock-addr"].accepts == found["sock-ops"].accepts == (0, 1)
    assert found["cgroup-skb"].accepts == (0, 1, 2, 3)
    assert found["xdp"].accepts == (-1, 0, 1, 2, 3, 4)
    for name in ("fentry", "fexit"):
        assert found[name].accepts == ((0,) if found[name].loads else ())
    for f in found.values():
        assert f.kind.returns[0][0].startswith("0"), "what 0 means comes first"
        if not f.loads:
            assert f.why
            assert f.error


def test_nothing_is_left(found: dict[str, Found]) -> None:
    assert found
    assert not [id for id in bpf.prog_ids() if bpf.prog_name(id) == "ebpftop_probe"]


def test_the_command_tells_all_of_it_also_without_privilege() -> None:
    def run(*before: str) -> dict[str, dict[str, object]]:
        done = subprocess.run(
            (*before, *COMMAND, "doctor", "--programs", "xdp", "kprobe", "--json"),
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        told = json.loads(done.stdout)
        assert told["format"] == "ebpftop-programs/1"
        return {p["type"]: p for p in told["programs"]}

    assert list(run()) == ["xdp", "kprobe"]
    assert run()["xdp"]["loads"]
    if not os.access(sys.executable, os.X_OK):
        return
    denied = run("setpriv", "--bounding-set=-all", "--inh-caps=-all")
    for told in denied.values():
        assert not told["loads"]
        assert told["why"]
        assert told["remedy"]
