"""The JSON is what docs/format.schema.json says, live and replayed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from probes.hooks import catalogue
from tests.support.recordings import demo_recording, demo_ticks, record
from tests.support.warm import ROOT, ebpftop
from tui.output.schema import schema

SCHEMA = ROOT / "docs" / "format.schema.json"


@pytest.fixture(scope="module")
def holds() -> Any:
    kept = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(kept)
    return jsonschema.Draft202012Validator(kept).validate


def test_it_is_made_of_the_catalogue() -> None:
    kept = json.loads(SCHEMA.read_text())
    assert kept == schema(catalogue()), f"ebpftop hooks --schema > {SCHEMA}"


async def test_what_a_recording_holds_is_of_the_format(holds: Any, tmp_path: Path) -> None:
    """The demo's incident: every hook, rules, a funnel, a log."""
    path = record(tmp_path / "a", await demo_ticks(14, 36))
    said = [json.loads(line) for line in ebpftop("replay", str(path), "--json").stdout.splitlines()]
    for one in said:
        holds(one)
    last = said[-1]
    assert {h["hook"] for h in last["hooks"]} > {"drops", "tcp-connect", "xdp-programs"}
    assert any(h["rows"] and h.get("log") for h in last["hooks"])
    assert any(one["rules"] for one in said)
    assert last["funnel"]


@pytest.mark.parametrize("command", [("once", "--json"), ("stream", "--count", "2")])
def test_what_this_host_gives_is_of_the_format(holds: Any, command: tuple[str, ...]) -> None:
    """Whatever may be attached here."""
    done = ebpftop(*command, "--observe-only")
    assert done.returncode == 0
    for line in done.stdout.splitlines():
        holds(json.loads(line))


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A moment of the demo as JSON."""
    path = tmp_path_factory.mktemp("shown") / "a"
    path.write_bytes(demo_recording(2))
    return ebpftop("replay", str(path), "--json", "--count", "1").stdout


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["format"], "ebpftop/2"),
        (["hooks", 0, "state"], "attaching?"),
        (["hooks", 0, "rows", 0, "interface"], 7),
        (["hooks", 0, "rows", 0, "rx_packets"], "many"),
        (["time"], None),
    ],
)
def test_what_is_not_of_the_format_is_refused(
    holds: Any, shown: str, path: list[Any], value: object
) -> None:
    said = json.loads(shown)
    place = said
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        holds(said)
