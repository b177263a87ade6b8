"""Names of reasons from this kernel's own types, also those of modules."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from probes.analysis import classes
from probes.hooks.drops import reasons as drop_reasons
from probes.kernel import btf

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(not btf.available(), reason="this kernel has no BTF"),
]


def test_every_reason_of_the_core_has_its_name() -> None:
    reasons = btf.enum("skb_drop_reason")
    if not reasons:
        assert drop_reasons.told() is False
        pytest.skip("this kernel gives no reasons")
    name_of = drop_reasons.Names()
    names = {name_of(number) for number in reasons}
    assert len(names) == len(reasons)
    assert names >= {"NO_SOCKET", "UNHANDLED_PROTO", "QDISC_DROP", "NOT_SPECIFIED"}
    freed_anyhow = {name_of(n) for n in reasons if name_of(n) in drop_reasons.NOT_DROPPED}
    assert "SKB_NOT_DROPPED_YET" in freed_anyhow
    assert freed_anyhow == {s for s in reasons.values() if not s.startswith("SKB_DROP_REASON_")}


def test_a_reason_that_nobody_names_stays_a_number() -> None:
    name_of = drop_reasons.Names()
    assert name_of(0xFF_0007) == f"reason {0xFF_0007}"
    assert name_of(0xFFF7) == "reason 65527"


@pytest.mark.parametrize(
    ("module", "wanted"),
    [("openvswitch", "OVS_DROP_EXPLICIT"), ("mac80211", "RX_DROP_U_MIC_FAIL"), ("", "QDISC_DROP_")],
)
def test_reasons_of_a_subsystem_have_names_while_it_is_loaded(module: str, wanted: str) -> None:
    subsystems = btf.enum("skb_drop_reason_subsys")
    begin = module.upper() or "QDISC"
    prefix = "SKB_DROP_REASON_SUBSYS_"
    numbers = [n for n, s in subsystems.items() if s.removeprefix(prefix).startswith(begin)]
    if not numbers:
        pytest.skip(f"this kernel has no reasons of {begin}")
    subprocess.run(["modprobe", "-q", module or "sch_tbf"], check=False)
    if module and not Path("/sys/module", module).exists():
        name_of = drop_reasons.Names()
        subsystem = subsystems[numbers[0]].removeprefix(prefix)
        assert name_of(numbers[0] << 16 | 5) == f"{subsystem} 5"
        pytest.skip(f"this machine has no {module}")
    name_of = drop_reasons.Names()
    names = {name_of(n << 16 | i) for n in numbers for i in range(1, 30)}
    assert any(name.startswith(wanted) for name in names), names


def test_every_reason_of_the_core_has_a_class_and_a_sentence() -> None:
    """Of a kernel that has one more it is known to be unknown: such a drop counts as lost."""
    names = {n for n in btf.enum("skb_drop_reason").values() if n.startswith("SKB_DROP_REASON_")}
    if not names:
        pytest.skip("this kernel gives no reasons")
    known = {*classes.REASONS, classes.PURGE, "MAX", "SUBSYS_MASK"}
    assert {n.removeprefix("SKB_DROP_REASON_") for n in names} <= known
