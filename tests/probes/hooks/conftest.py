"""Shared by the tests of hooks: owners are looked up at once, however busy the host is."""

from __future__ import annotations

import pytest

from probes.owners import lookups, owner_columns
from probes.owners.processes import ProcessOwners


@pytest.fixture(autouse=True)
def _owners(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else rows that are read twice may differ in what there was no time for."""
    monkeypatch.setattr(lookups, "NEW_SECONDS", 10.0)
    monkeypatch.setattr(owner_columns, "shared", ProcessOwners())
