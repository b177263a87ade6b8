"""Every kind of attach point answers what `Point` asks, and is found by being there."""

from __future__ import annotations

import errno
from contextlib import suppress

import pytest

from probes.attach.refusals import attach_refused, load_refused
from probes.errors import ProbeError
from probes.point import AttachType, Point, ProgType
from tests.support.points import kinds

KINDS = kinds()
GIVEN = {
    "str": "ebpftop_no_such_thing", "int": 0, "bool": False,
    "AttachType": AttachType.CGROUP_SOCK_OPS,
}  # fmt: skip
WORDS = {"direction": "ingress", "mode": "generic", "event": "cpu-clock"}
CODES = sorted(errno.errorcode)
LO = 1


def _one(kind: type[Point]) -> Point:
    fields = kind.__dataclass_fields__.values()  # type: ignore[attr-defined]
    return kind(**{f.name: WORDS.get(f.name, GIVEN[f.type]) for f in fields})


def test_there_are_as_many_as_there_are() -> None:
    """One in a file that nobody imports would not be among them."""
    assert len(KINDS) == 25


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_says_all_that_is_asked_of_it(kind: type[Point]) -> None:
    point = _one(kind)
    assert point == _one(kind)
    assert hash(point) == hash(_one(kind))
    assert point.needs
    assert set(point.needs) <= set(range(64))
    assert "Linux" in (kind.__doc__ or "") or "Outlives" in (kind.__doc__ or "")
    assert {*vars(kind)} & {"attach"} or kind.attach is not Point.attach
    with suppress(ProbeError):  # the kernel has no such function, or no BTF
        assert isinstance(point.loading().prog_type, ProgType)


@pytest.mark.parametrize("kind", KINDS)
def test_every_refusal_is_one_sentence(kind: type[Point]) -> None:
    """Whatever the kernel says."""
    point = _one(kind)
    for code in CODES:
        said = [attach_refused(code, "place", point, LO), load_refused(point, code, "")]
        said.append(load_refused(point, code, "R1 invalid mem access 'scalar'\nprocessed 2 insns"))
        for refusal in said:
            assert refusal.why, code
            assert "\n" not in refusal.why
            assert not refusal.why.endswith(".")
            assert refusal.remedy == "" or refusal.remedy.endswith("."), refusal.remedy
