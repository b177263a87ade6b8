"""Each story takes place: the system's own tools count its cause."""

from __future__ import annotations

import pytest

from tests.support.incidents import apart, rehearsal
from tests.support.incidents.story import stories

pytestmark = [pytest.mark.kernel, pytest.mark.anywhere]


@pytest.mark.parametrize("name", stories())
def test_its_cause_is_counted_by_another_tool(name: str) -> None:
    done = apart.call("tests.support.incidents.rehearsal", name, timeout=60)
    if done.returncode == rehearsal.CANNOT:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stdout
    assert float(done.stdout.splitlines()[-1]) >= stories()[name].least, done.stdout
