"""`-i` and `-p`: what a recording says of one interface, and of one process; the same on screen."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from probes.analysis.snapshot import Snapshot
from probes.hooks import catalogue
from probes.model import HookId, Sample, Status
from probes.sources.demo.source import Demo
from tests.support.warm import ebpftop
from tui.commands._options import scope_of
from tui.commands._parsing import parse
from tui.output.scope import EVERYTHING, Scope
from tui.screen.app import Monitor

BUSY = Path(__file__).parents[3] / "snapshots/recordings/busy.rec"


@cache
def _read(*scope: str) -> dict[str, Any]:
    done = ebpftop("replay", str(BUSY), "--json", "-n", "1", *scope)
    assert done.returncode == 0, done.stderr
    read: dict[str, Any] = json.loads(done.stdout)
    return read


def _rows(told: dict[str, Any], hook: str) -> list[dict[str, Any]]:
    return [row for one in told["hooks"] if one["hook"] == hook for row in one["rows"]]


def test_an_interface_has_its_rows_and_no_others() -> None:
    name = _rows(_read(), "interfaces")[0]["interface"]
    told = _read("-i", name)
    for hook in {one["hook"] for one in told["hooks"]}:
        whole = _rows(_read(), hook)
        assert _rows(told, hook) == [row for row in whole if row["interface"] == name], hook
    assert {one["hook"] for one in told["hooks"]}.isdisjoint({"syscalls", "tcp-connect"})
    assert {one["target"] for one in told["hooks"]} <= {None, name}
    assert {one["interface"] for one in (*told["funnel"], *told["programs"])} <= {name}


def test_a_process_has_its_rows_and_no_others() -> None:
    pid = _rows(_read(), "tcp-connect")[0]["pid"]
    told = _read("--pid", str(pid))
    rows = [row for row in _rows(_read(), "tcp-connect") if row["pid"] == pid]
    assert rows
    assert _rows(told, "tcp-connect") == rows
    assert "interfaces" not in {one["hook"] for one in told["hooks"]}
    assert told["funnel"] == told["programs"] == told["rules"] == []


def test_each_hook_is_asked_what_it_can_tell() -> None:
    told = _read("-i", "nosuch0", "-p", "1")
    assert {"interfaces", "tcp-connect"} <= {one["hook"] for one in told["hooks"]}
    assert not any(one["rows"] for one in told["hooks"])


def test_text_and_csv_are_within_it_too() -> None:
    pid = _rows(_read(), "tcp-connect")[0]["pid"]
    for form in ("table", "csv"):
        said = ebpftop("replay", str(BUSY), "--format", form, "-n", "1", "-p", str(pid)).stdout
        assert "tcp-connect" in said
        assert "qdiscs" not in said


def test_what_is_not_there_is_one_sentence() -> None:
    for words, said in (
        (["-i", "nosuch0"], "there is no interface 'nosuch0'; interfaces are lo"),
        (["-p", "999999999"], "there is no process 999999999"),
        (["-i", "a b"], "'a b' is not the name of an interface"),
        (["-p", "0"], "'0' is not a number above 0"),
        (["--scope", "web"], "write KIND:NAME, such as container:web; kinds are container, pod"),
        (["--scope", "pid:x"], "'x' is not a number above 0"),
    ):
        done = ebpftop("once", *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr
        assert done.stderr.count("\n") == 1


def test_nothing_asked_is_everything() -> None:
    assert all(EVERYTHING.tells(hook) for hook in catalogue().values())
    assert EVERYTHING.has_interface("eth0")
    assert not Scope(pid=1).has_interface("eth0")


@pytest.mark.parametrize(
    ("scope", "pane", "filtered"),
    [
        (Scope("eth1"), "interfaces", {"interfaces": "interface=eth1"}),
        (Scope(pid=811), "connects", {"connects": "pid=811", "rtt": "pid=811"}),
        (
            Scope(container="web"),
            "connects",
            dict.fromkeys(("interfaces", "connects", "rtt", "own"), "container:web"),
        ),
    ],
)
async def test_the_screen_begins_with_a_filter_that_is_seen_and_cleared(
    scope: Scope, pane: str, filtered: dict[str, str]
) -> None:
    app = Monitor(Demo(), scope=scope)
    async with app.run_test(size=(160, 40)) as pilot:
        await pilot.pause()
        assert (app.place.pane.name, app.place.filters) == (pane, filtered)
        if pane == "interfaces":
            assert [row.name for row in app.table.rows] == ["eth1"]
        await pilot.press("slash", "ctrl+u", "enter")
        assert app.place.filter == ""


def test_this_host_is_asked_for_one_of_its_interfaces() -> None:
    done = ebpftop("once", "-i", "lo", "--json", "--for", "0", "--hook", "interfaces")
    (hook,) = json.loads(done.stdout)["hooks"]
    assert [row["interface"] for row in hook["rows"]] == ["lo"]


@pytest.mark.parametrize(
    ("scope", "value", "expected"),
    [
        ({"container": "web"}, "web", True),
        ({"container": "app"}, "shop/cart/app", True),
        ({"container": "shop/cart"}, "shop/cart/app", True),
        ({"container": "shop"}, "shop/cart/app", True),
        ({"container": "car"}, "shop/cart/app", False),
        ({"container": "web"}, "webshop", False),
        ({"unit": "ssh"}, "ssh.service", True),
        ({"unit": "ssh.service"}, "ssh.service", True),
        ({"unit": "ssh"}, "sshd.service", False),
        ({"netns": "blue"}, "blue", True),
        ({"netns": "blue"}, None, False),
    ],
)
def test_an_owner_is_known_by_the_part_that_people_use(
    scope: dict[str, str], value: str | None, expected: bool
) -> None:
    hook = catalogue()["tcp-connect"]
    (name,) = Scope(**scope).asked
    names = [c.name for c in hook.stored]
    row = tuple([value if n == name else None for n in names])
    sample = Sample(Status(HookId("tcp-connect")), 1.0, 1.0, rows={(1,): row})
    snapshot = Snapshot.between(hook, None, sample)
    (shown,) = Scope(**scope).snapshots([snapshot])
    assert bool(shown.rows) is expected


def test_each_hook_with_an_owner_is_asked_for_it() -> None:
    for scope in (Scope(container="web"), Scope(unit="ssh"), Scope(netns="blue")):
        assert scope.tells(catalogue()["tcp-rtt"])
        assert scope.tells(catalogue()["qdiscs"]) is (scope.unit is None)
        assert not scope.tells(catalogue()["syscalls"])
    assert Scope("eth0", unit="ssh").tells(catalogue()["qdiscs"])


def test_a_pod_is_what_its_containers_names_begin_with() -> None:
    asked = parse(["once", "--scope", "pod:shop/cart", "--scope", "netns:blue", "-p", "7"])
    assert scope_of(asked) == Scope(pid=7, container="shop/cart", netns="blue")
