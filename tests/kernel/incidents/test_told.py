"""`ebpftop findings` tells of an incident: its cause, and by its exit status, cold."""

from __future__ import annotations

import pytest

from tests.support.incidents.story import stories
from tests.support.incidents.told import alarms, text, told

pytestmark = [pytest.mark.kernel]


@pytest.mark.parametrize("name", ["xdp_drops", "firewall_in", "refused", "fd_limit"])
def test_an_incident_is_an_alarm_that_names_its_cause(name: str) -> None:
    """Not necessarily the first one: others use this kernel, too."""
    said, expected = told(name), stories()[name].expected
    if isinstance(said, str):
        pytest.skip(said)
    assert expected is not None
    found = [text(finding) for finding in alarms(said)]
    assert any(expected.names(one) for one in found), found
    assert said["status"] == 1


def test_an_xdp_program_is_told_with_who_holds_it() -> None:
    said = told("xdp_drops")
    if isinstance(said, str):
        pytest.skip(said)
    (found,) = [f for f in said["findings"] if f["id"] == "xdp-programs/eth1/acme_filter"]
    assert [who["comm"] for who in found["who"] if "comm" in who] == ["filterd"]
