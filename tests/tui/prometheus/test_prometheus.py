"""A real Prometheus scrapes what is exported, and has the same numbers."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from probes.model import HookId
from probes.sources.demo.source import Demo
from tui.prometheus.metrics import Exported
from tui.prometheus.server import Address, CannotListen, Server, parse

PATIENCE = 90.0
"""Seconds until something is taken as never to come."""
CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
rule_files: ["{rules}"]
scrape_configs:
  - job_name: ebpftop
    static_configs: [{{targets: ["{target}"]}}]
"""
RULES = Path(__file__).parents[3] / "docs" / "prometheus" / "alerts.yml"


@contextmanager
def _prometheus(place: Path, target: str) -> Iterator[str]:
    """One of its own, on a port of its own, that keeps nothing; its address."""
    if (binary := shutil.which("prometheus")) is None:
        pytest.skip("no prometheus here: it is Debian's package of that name")
    (place / "prometheus.yml").write_text(CONFIG.format(target=target, rules=RULES))
    command = [
        binary,
        f"--config.file={place}/prometheus.yml",
        f"--storage.tsdb.path={place}/data",
        "--web.listen-address=127.0.0.1:0",
        f"--web.console.templates={place}",
        f"--web.console.libraries={place}",
    ]
    with (place / "log").open("wb") as log, subprocess.Popen(command, stderr=log) as child:
        try:
            yield _until(lambda: _address((place / "log").read_text()))
        finally:
            child.kill()


def _address(log: str) -> str | None:
    found = re.search(r'Listening on".* address=(127\.0\.0\.1:[1-9]\d*)', log)
    return found[1] if found else None


def _until(ask: Any) -> Any:
    """What it says at last."""
    deadline = time.monotonic() + PATIENCE
    while True:
        if (answer := ask()) or time.monotonic() > deadline:
            assert answer, "it never came"
            return answer
        time.sleep(0.2)


def _query(prometheus: str, expression: str) -> list[dict[str, Any]]:
    query = urllib.parse.urlencode({"query": expression})
    try:
        with urllib.request.urlopen(f"http://{prometheus}/api/v1/query?{query}") as answer:
            result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
            return result
    except urllib.error.URLError:
        return []  # not yet ready


async def _played(*seconds: float) -> tuple[Demo, Exported]:
    demo = Demo(begin=40)
    await demo.start()
    await demo.attach(HookId.parse("xdp@eth0"))
    exported = Exported(demo.host, demo.catalogue, "1")
    for second in seconds:
        exported.take(demo.at(second), demo.rules())
    return demo, exported


async def test_prometheus_has_the_numbers_that_the_kernel_counted(tmp_path: Path) -> None:
    """Every counter and histogram of the demo's hooks, to the last packet; and the rules run."""
    demo, exported = await _played(50)
    raw = {s.status.id: s for s in demo.at(50)}
    with Server(Address("127.0.0.1", 0)) as server:
        server.serve(exported)
        target = "{}:{}".format(*server.server_address[:2])
        with _prometheus(tmp_path, target) as prometheus:
            up = _until(lambda: [r for r in _query(prometheus, "up") if r["value"][1] == "1"])
            assert up[0]["metric"]["instance"] == target
            names = demo.catalogue["interfaces"].places.names
            rows = raw[HookId("interfaces")].rows.values()
            found = _query(prometheus, "ebpftop_interfaces_rx_packets_total")
            assert {r["metric"]["interface"]: float(r["value"][1]) for r in found} == {
                row[names.index("interface")]: row[names.index("rx_packets")] for row in rows
            }
            names = demo.catalogue["syscalls"].places.names
            calls = [r[names.index("calls")] for r in raw[HookId("syscalls")].rows.values()]
            (all_calls,) = _query(prometheus, "sum(ebpftop_syscalls_calls_total)")
            assert float(all_calls["value"][1]) == sum(calls)
            (timed,) = _query(prometheus, "sum(ebpftop_syscalls_latency_seconds_count)")
            assert float(timed["value"][1]) == sum(
                sum(r[names.index("latency")]) for r in raw[HookId("syscalls")].rows.values()
            )
            (kinds,) = _query(prometheus, 'count({__name__=~"ebpftop_.*"})')
            assert float(kinds["value"][1]) > 1000
        server.shutdown()
    assert "err=" not in (tmp_path / "log").read_text()


# -- where it listens ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9", ("127.0.0.1", 9)),
        ("[::1]:19435", ("::1", 19435)),
        ("localhost:0", ("localhost", 0)),
        ("0.0.0.0:80", ("0.0.0.0", 80)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert parse(text) == address


@pytest.mark.parametrize(
    "text", ["", "19435", ":19435", "host", "host:", "host:x", "h:65536", "h:-1"]
)
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"127\.0\.0\.1:19435"):
        parse(text)


def test_an_ipv6_address_goes_in_brackets() -> None:
    with pytest.raises(ValueError, match=r"\[::1\]"):
        parse("::1:80")


async def test_ipv6_serves_where_there_is_any() -> None:
    if not socket.has_ipv6 or not Path("/proc/net/if_inet6").exists():
        pytest.skip("no IPv6 here")
    _, exported = await _played(50)
    with Server(Address("::1", 0)) as server:
        server.serve(exported)
        (said,) = server.said()
        url = said.removeprefix("metrics on ")
        assert url.startswith("http://[::1]:")
        with urllib.request.urlopen(url) as answer:
            assert b"ebpftop_drops_packets_total" in answer.read()
        server.shutdown()


def test_a_port_in_use_and_an_address_elsewhere_are_one_sentence() -> None:
    with Server(Address("127.0.0.1", 0)) as server:
        taken = Address(*server.server_address[:2])  # type: ignore[arg-type]
        with pytest.raises(CannotListen, match=r"cannot listen on 127.0.0.1:\d+: Address already"):
            Server(taken)
    with pytest.raises(CannotListen, match=r"192\.0\.2\.1:1234: Cannot assign requested address"):
        Server(Address("192.0.2.1", 1234))
    with pytest.raises(CannotListen, match=r"no\.such\.host\.invalid:1"):
        Server(Address("no.such.host.invalid", 1))


async def test_only_metrics_are_there_and_only_to_be_read() -> None:
    _, exported = await _played(50)
    with Server(Address("127.0.0.1", 0)) as server:
        server.serve(exported)
        at = "http://{}:{}".format(*server.server_address[:2])
        for path, status in (("/x", 404), ("/../etc/passwd", 404), ("/metricsx", 404)):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(at + path)
            assert refused.value.code == status
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{at}/metrics", data=b"x=1")
        assert refused.value.code == 405
        assert refused.value.headers["Allow"] == "GET, HEAD"
        with urllib.request.urlopen(f"{at}/") as answer:
            assert b"/metrics" in answer.read()
        server.shutdown()


def test_who_can_read_them_is_said_where_it_is_not_this_host_alone() -> None:
    with Server(Address("127.0.0.1", 0)) as server:
        assert len(list(server.said())) == 1
    with Server(Address("0.0.0.0", 0)) as server:
        assert "anyone" in list(server.said())[1]
