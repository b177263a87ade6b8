"""Which end of a connection began it, as its ports tell."""

from __future__ import annotations

import pytest

from probes.analysis.ends import is_accepted, services
from probes.arrays import np


@pytest.mark.parametrize(
    ("local", "remote", "accepted"),
    [
        (22, 61022, True),
        (40112, 5432, False),
        (51724, 40000, False),  # nobody knows: as if it was begun here
        (8080, 443, False),
        (0, 61022, False),
        (None, 61022, False),
    ],
)
def test_who_began_it(local: int | None, remote: int, accepted: bool) -> None:
    assert is_accepted(local, remote) is accepted


def test_many_have_the_same_service_as_one() -> None:
    local, remote = np.array([22.0, 40112, 0]), np.array([61022.0, 5432, 61022])
    assert services(local, remote).tolist() == [22, 5432, 61022]
