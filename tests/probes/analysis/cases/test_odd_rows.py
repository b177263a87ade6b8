"""Whatever rows a hook has, no detector raises, and few rows are judged as many are."""

from __future__ import annotations

import pytest

from probes.analysis import snapshot
from probes.analysis.cases.judgement import cases, needs
from probes.hooks import catalogue
from tests.support.many_views import TwoViews

JUDGED = (
    "interfaces", "xdp-programs", "tc-programs", "drops", "programs", "tcp-connect", "tcp-rtt",
    "syscalls", "syscall-processes", "name-servers", "net-counters", "memory", "dns",
    "tcp-stalled", "execs", "exits",
)  # fmt: skip


def test_all_that_detectors_need_is_among_them() -> None:
    assert set(needs()) <= set(JUDGED)


@pytest.mark.parametrize("name", JUDGED)
def test_random_rows(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "FEW", 16)
    hook = catalogue()[name]
    views = TwoViews(hook, 36, 5, None if hook.target is None else "eth0")
    for _ in range(6):
        views.tick()
        told = [cases(view) for view in (views.columns, views.rows)]
        for case in (*told[0], *told[1]):
            assert not case.head.id.startswith("ebpftop/"), case.head.evidence
        assert [one.head.id for one in told[0]] == [one.head.id for one in told[1]]
