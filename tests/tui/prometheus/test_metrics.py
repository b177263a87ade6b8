"""What is exported: names, units and labels by the columns; dashboard and alerts ask for it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as open_metrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as plain_families

from probes.drop_rule import parse
from probes.hooks import catalogue
from probes.model import (
    Column,
    Cost,
    HookId,
    Key,
    Kind,
    Refusal,
    Row,
    Sample,
    State,
    Status,
)
from probes.source import Host
from probes.sources.demo.source import Demo
from probes.units import Unit
from tests.support.findings import finding
from tui.prometheus.metrics import Exported, name_of

DOCS = Path(__file__).parents[3] / "docs" / "prometheus"


def _registry(exported: Exported) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(exported)
    return registry


async def _incident(**options: int) -> Exported:
    """The demo in the middle of its incident, with everything attached and a rule."""
    demo = Demo(begin=40)
    await demo.start()
    for name in ("xdp@eth0", "sources@eth1", "syscall-processes@read"):
        await demo.attach(HookId.parse(name))
    await demo.add_rule("eth1", parse("udp dport 53 ttl 5m"))
    exported = Exported(demo.host, demo.catalogue, "1.2.3", **options)
    for second in (48, 49, 50):
        exported.take(demo.at(second), demo.rules())
    exported.judge([finding()], [Status(HookId("drops"), State.FAILED)])
    return exported


def _names(text: str) -> set[str]:
    return set(re.findall(r"^(\w+)\{", text, re.MULTILINE))


@pytest.mark.parametrize(
    ("hook", "column", "name"),
    [
        ("drops", Column("packets", "", Unit.PACKETS, Kind.COUNTER), "ebpftop_drops_packets"),
        ("xdp", Column("drop", "", Unit.PACKETS, Kind.COUNTER), "ebpftop_xdp_drop_packets"),
        ("qdiscs", Column("backlog", "", Unit.BYTES), "ebpftop_qdiscs_backlog_bytes"),
        ("tcp-rtt", Column("srtt_us", "", Unit.US), "ebpftop_tcp_rtt_srtt_seconds"),
        ("tcp-rtt", Column("rtt", "", Unit.US, Kind.HISTOGRAM), "ebpftop_tcp_rtt_seconds"),
        ("syscalls", Column("calls", "", Unit.COUNT, Kind.COUNTER), "ebpftop_syscalls_calls"),
        ("x", Column("cpu_percent", "", Unit.PERCENT), "ebpftop_x_cpu_ratio"),
    ],
)
def test_a_name_has_the_hook_the_column_and_the_base_unit(
    hook: str, column: Column, name: str
) -> None:
    assert name_of(hook, column) == name


def test_no_two_columns_of_the_catalogue_have_one_name() -> None:
    """Nor would one with its type's suffix (_total, _info, _bucket) be another's."""
    taken = {}
    for hook in catalogue().values():
        for column in hook.stored:
            name = name_of(hook.name, column)
            assert taken.setdefault(name, column) is column, name
            assert re.fullmatch(r"[a-z_][a-z0-9_]*", name)
            assert not name.endswith(("_info", "_count", "_sum", "_bucket"))


def test_every_hook_s_labels_are_unlike_each_other_and_prometheus_s_own() -> None:
    from tui.prometheus.totals import Shape

    for hook in catalogue().values():
        shape = Shape(hook)
        labels = [*shape.labels, *(c.name for _, c in shape.words)]
        assert len(set(labels)) == len(labels), hook.name
        assert not {"le", "quantile", "job", "instance", "__name__"} & {*labels}
        assert all(re.fullmatch(r"[a-z][a-z0-9_]*", label) for label in labels)
        assert shape.labels or hook.name not in ("interfaces", "drops")


async def test_both_formats_are_well_formed() -> None:
    """As the reference parsers read them; no series stands there twice."""
    registry = _registry(await _incident())
    families = list(text_string_to_metric_families(open_metrics(registry).decode()))
    plain = list(plain_families(generate_latest(registry).decode()))
    assert len(families) > 80
    for read in (families, plain):
        seen = [(s.name, *sorted(s.labels.items())) for f in read for s in f.samples]
        assert len(seen) == len(set(seen))
        assert all(f.documentation for f in read)


async def test_promtool_finds_nothing_to_say() -> None:
    """Names, units and help as Prometheus wants them."""
    if (promtool := shutil.which("promtool")) is None:
        pytest.skip("no promtool here: Debian's package prometheus has it")
    text = generate_latest(_registry(await _incident(most=3)))
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


async def test_what_the_dashboard_and_the_alerts_ask_for_is_exported() -> None:
    """Every metric that is named there, with the labels that are asked of it."""
    there = generate_latest(_registry(await _incident())).decode()
    labels = {
        name: {label for family in re.findall(rf"^{name}\{{(.*)\}} ", there, re.MULTILINE)
               for label in re.findall(r'(\w+)="', family)}
        for name in _names(there)
    }  # fmt: skip
    dashboard = json.loads((DOCS / "dashboard.json").read_text())
    asked = [t["expr"] for p in dashboard["panels"] for t in p.get("targets", ())]
    asked += [v["definition"] for v in dashboard["templating"]["list"] if "definition" in v]
    alerts = (DOCS / "alerts.yml").read_text()
    asked += re.findall(r"expr: (?:>-)?((?:.|\n)*?)\n +(?:for|labels):", alerts)
    assert len(asked) > 40
    for expression in asked:
        named = re.findall(r"\bebpftop_\w+", expression)
        assert named or "up{" in expression or "process_" in expression, expression
        for name in named:
            assert name in labels, name
        by = {w.strip() for b in re.findall(r"by \(([^)]*)\)", expression) for w in b.split(",")}
        known = set.union(*(labels[n] for n in named)) if named else set()
        assert by - {"instance", "le", ""} <= known, expression


def test_promtool_takes_the_alert_rules() -> None:
    if (promtool := shutil.which("promtool")) is None:
        pytest.skip("no promtool here: Debian's package prometheus has it")
    command = [promtool, "check", "rules", str(DOCS / "alerts.yml")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


ALERTED = """
rule_files: [{rules}]
evaluation_interval: 10s
tests:
  - interval: 10s
    input_series:
      - series: 'ebpftop_finding{{{common},severity="alarm",state="now",what="it drops"}}'
        values: "1 1 1 _ _ _ _ 1"
      - series: 'ebpftop_finding{{{common},severity="alarm",state="easing",what="it drops"}}'
        values: "_ _ _ 1 1 1 1 _"
      - series: 'ebpftop_finding_share_ratio{{{common},of="packets received"}}'
        values: "0.38x10"
      - series: 'ebpftop_finding_since_timestamp_seconds{{{common}}}'
        values: "0x10"
      - series: 'ebpftop_finding_who{{{common},who="acme_filter"}}'
        values: "1x10"
      - series: 'ebpftop_findings_blind{{instance="web1",hook="drops"}}'
        values: "1x10"
    alert_rule_test:
      - alertname: EbpftopIsBlind
        eval_time: 1m
      - alertname: SomethingIsWrong
        eval_time: 1m
        exp_alerts:
          - exp_labels: {{instance: web1, id: a/b, what: it drops, severity: critical}}
            exp_annotations:
              summary: "web1: it drops"
              description: >-
                38% of packets received, for 1m 0s. acme_filter takes part.
                `ebpftop findings` there tells more.
"""


def test_an_alarm_alerts_with_its_share_age_and_people(tmp_path: Path) -> None:
    """It goes on while it eases; promtool evaluates it as Prometheus does."""
    if (promtool := shutil.which("promtool")) is None:
        pytest.skip("no promtool here: Debian's package prometheus has it")
    file = tmp_path / "alerted.yml"
    file.write_text(ALERTED.format(rules=DOCS / "alerts.yml", common='instance="web1",id="a/b"'))
    done = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


HOSTILE = (
    'a"b',
    "a\nb",
    "a\\b",
    "\x1b[31m",
    'a{b="c"} 1\nx 2',
    "\udcff",
    "#",
    "",
    "名前",
    "=" * 300,
)


def test_no_name_that_somebody_chose_breaks_the_format() -> None:
    """Processes, interfaces and reasons may be called anything."""
    drop = {"reason": "r", "location": "l", "packets": 1, "protocol": "udp", "dport": 53,
            "trait": "-", "comm": "", "counts": "packets"}  # fmt: skip
    rows: dict[Key, Row] = {}
    for n, name in enumerate(HOSTILE):
        named = {**drop, "interface": name, "ifindex": n}
        rows[(n,)] = tuple([named.get(c.name) for c in catalogue()["drops"].stored])
    status = Status(
        HookId("drops"), State.ATTACHED, 'r"', (Refusal("x", "EPERM", 'a "b"\nc'),), note="n\nm"
    )
    exported = Exported(Host('h"\n', "k\\"), catalogue(), "1")
    exported.take([Sample(status, 1, 1, 1, rows, cost=Cost(3, 4))])
    registry = _registry(exported)
    for text, read in (
        (open_metrics(registry), text_string_to_metric_families),
        (generate_latest(registry), plain_families),
    ):
        drops = [
            s
            for family in read(text.decode())
            for s in family.samples
            if s.name == "ebpftop_drops_packets_total"
        ]
        assert sum(s.value for s in drops) == len(HOSTILE)
        assert {"名前", "a?b", "=" * 300} <= {s.labels.get("interface") for s in drops}


async def test_most_bounds_every_hook() -> None:
    """So many rows of each hook and target, and the rest as one."""
    text = generate_latest(_registry(await _incident(most=3))).decode()
    for name in ("ebpftop_syscalls_calls_total", "ebpftop_tcp_connect_connects_total"):
        assert len(re.findall(rf"^{name}\{{", text, re.MULTILINE)) == 4
    assert 'ebpftop_syscalls_calls_total{syscall="other"}' in text


def test_a_histogram_is_cumulative_in_seconds_with_its_sum_and_count() -> None:
    """The column's power-of-two buckets, the ends of it cut; nothing is left out of +Inf."""
    shape = catalogue()["syscalls"].stored
    latency = tuple(7 if n in (0, 10, 39) else 0 for n in range(40))
    values = {"syscall": "read", "calls": 21, "errors": 0, "total_ns": 5_000_000_000}
    row = tuple(latency if c.name == "latency" else values.get(c.name) for c in shape)
    exported = Exported(Host("h", "k"), catalogue(), "1")
    exported.take(
        [Sample(Status(HookId("syscalls"), State.ATTACHED, "x"), 1, 1, 1, {("read",): row})]
    )
    text = open_metrics(_registry(exported)).decode()
    buckets = dict(re.findall(r'latency_seconds_bucket\{le="([^"]*)",syscall="read"\} (\S+)', text))
    assert buckets["2.56e-07"] == "7.0"
    assert buckets["1.024e-06"] == "7.0"
    assert buckets["2.048e-06"] == "14.0"
    assert list(buckets.values())[-2:] == ["14.0", "21.0"]
    assert 'ebpftop_syscalls_latency_seconds_sum{syscall="read"} 5.0' in text
    assert 'ebpftop_syscalls_latency_seconds_count{syscall="read"} 21.0' in text


async def test_hooks_tell_where_they_stand_and_what_they_cost() -> None:
    text = generate_latest(_registry(await _incident())).decode()
    assert re.search(r'ebpftop_hook_info\{hook="xdp",.*state="attached",target="eth0"\} 1.0', text)
    assert re.search(r'ebpftop_hook_refusal_info\{error="E\w+",hook="\S+".*why="[^"]+"\} 1.0', text)
    assert re.search(r'ebpftop_hook_cpu_seconds_total\{hook="syscalls",target=""\} 0\.\d+', text)
    assert re.search(r'ebpftop_hook_lost_events_total\{hook="drops",target=""\}', text)
    assert 'ebpftop_build_info{version="1.2.3"} 1.0' in text
    assert re.search(
        r'ebpftop_drop_rule_info\{interface="eth1",rule="udp dport 53",rung="\w+"', text
    )
    assert re.search(r"ebpftop_drop_rule_remaining_seconds\{.*\} \d+", text)


def test_what_is_not_there_any_more_is_not_exported() -> None:
    """An interface that went, with its hook."""
    exported = Exported(Host("h", "k"), catalogue(), "1")
    status = Status(HookId("tc-ingress", "eth9"), State.ATTACHED, "tcx")
    row = tuple(
        {"ifindex": 9, "interface": "eth9"}.get(c.name, 5) for c in catalogue()["tc-ingress"].stored
    )
    exported.take([Sample(status, 1, 1, 1, {(9,): row})])
    assert 'interface="eth9"' in generate_latest(_registry(exported)).decode()
    exported.take([])
    assert "eth9" not in generate_latest(_registry(exported)).decode()
