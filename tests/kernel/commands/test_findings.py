"""`ebpftop findings` on the real kernel: its exit status, its JSON, and that nothing stays."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from probes.analysis.cases.judgement import needs
from tests.support.commands import NOBODY, ROOT, ebpftop, held, left_of, running
from tests.support.namespaces import namespace

pytestmark = [pytest.mark.kernel, pytest.mark.anywhere]


@pytest.fixture(autouse=True)
def _inside() -> Iterator[None]:
    with namespace():
        yield


@pytest.fixture(scope="module")
def holds() -> Any:
    import jsonschema  # not in the matrix's guests, which collect this file

    kept = json.loads((ROOT / "docs" / "format.schema.json").read_text())
    verdict = {**kept["$defs"]["verdict"], "$defs": kept["$defs"]}
    return jsonschema.Draft202012Validator(verdict).validate


def test_it_watches_says_how_it_is_and_leaves_nothing(holds: Any) -> None:
    """Whatever else happens on this host: the status is what the findings say."""
    with running("findings", "--json", "--for", "3") as child:
        most: tuple[set[int], set[int]] = (set(), set())
        while child.poll() is None:
            with suppress(OSError):
                now = held(child.pid)
                most = most[0] | now[0], most[1] | now[1]
            time.sleep(0.2)
        said, wrong = child.communicate()
    told = json.loads(said)
    holds(told)
    assert 3.0 <= told["watched"] < 60
    assert child.returncode == _status(told), wrong
    assert left_of(*most) == (set(), set())


def _status(told: dict[str, Any]) -> int:
    """The exit status that its findings have."""
    alarm = ("alarm", "now", False)
    if any((f["severity"], f["state"], f["ordinary"]) == alarm for f in told["findings"]):
        return 1
    return 3 if told["blind"] else 0


def test_without_privilege_what_is_not_read_is_said(holds: Any, unprivileged: Path) -> None:
    """Never that nothing is wrong."""
    done = ebpftop("findings", "--json", "--for", "1", before=NOBODY, cwd=unprivileged)
    told = json.loads(done.stdout)
    holds(told)
    blind = {one["hook"] for one in told["blind"]}
    assert "syscalls" in blind
    assert blind <= {*needs()}
    if done.returncode != 1:
        assert done.returncode == 3
        assert done.stderr.splitlines()[-1].startswith(
            "ebpftop: cannot tell whether anything is wrong: "
        )
        assert any(f"{hook} has passive numbers only" in done.stderr for hook in blind)


def test_one_reading_is_none() -> None:
    done = ebpftop("findings", "--for", "0")
    if needs():
        assert (done.returncode, done.stdout) == (
            3,
            "nothing was found, but not everything was seen\n",
        )
        assert "--for 3" in done.stderr


def test_hooks_by_which_nothing_is_judged_are_usage() -> None:
    done = ebpftop("findings", "--hook", "protocols@lo")
    assert (done.returncode, done.stdout) == (2, "")
    assert "findings cannot judge by protocols alone" in done.stderr
