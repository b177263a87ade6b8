"""What somebody said is ordinary here: which cases it holds for, and how long."""

from __future__ import annotations

import pytest

from probes.analysis.cases.claim import Claim, Gravity, Who
from probes.analysis.cases.joined import Case
from probes.analysis.cases.ordinary import OrdinaryEntry, entry_of, matches, ordinary
from probes.units import Unit

CHECKOUT = Who("checkout", 2311)


def _case(*who: Who, id: str = "tcp-connect/10.0.0.5:5432") -> Case:
    return Case(Claim(id, Gravity.ALARM, "connects fail", 5.0, Unit.COUNT, "connects", who=who))


@pytest.mark.parametrize(
    ("what", "holds"),
    [
        ("tcp-connect/10.0.0.5:5432", True),
        ("tcp-connect/10.0.0.5:543", False),
        ("tcp-connect/*", True),
        ("*:5432", True),
        ("tcp-connect/*:5432", True),
        ("tcp-connect/*:80", False),
        ("*", True),
        ("tcp-connect/10.0.0.5:5432*5432", False),
        ("tcp-connect/10.?.0.5:5432", False),
    ],
)
def test_what_is_an_id_with_one_star(what: str, holds: bool) -> None:
    assert matches(what, "tcp-connect/10.0.0.5:5432") is holds


def test_an_entry_made_of_a_case_holds_for_it_after_a_restart() -> None:
    """Pids and programs' ids are others then."""
    entry = entry_of(_case(CHECKOUT, Who(program="acme#41")), until=50.0)
    assert entry == OrdinaryEntry("tcp-connect/10.0.0.5:5432", ("checkout", "acme"), 50.0)
    assert entry.holds(_case(Who("checkout", 7), Who(program="acme#99")), 49.0)
    assert not entry.holds(_case(CHECKOUT), 50.0), "it has expired"


def test_another_process_makes_it_a_case_again() -> None:
    entry = entry_of(_case(CHECKOUT))
    assert entry.holds(_case(), 0.0), "nobody is known to take part"
    assert not entry.holds(_case(CHECKOUT, Who("billing", 8)), 0.0)
    assert OrdinaryEntry(entry.what).holds(_case(CHECKOUT, Who("billing", 8)), 0.0)


def test_a_cause_that_is_found_later_is_not_ordinary() -> None:
    """A firewall that drops what was refused before has an id of its own."""
    told = ordinary([entry_of(_case(CHECKOUT))], 0.0)
    cause = _case(id="drops/eth1/NETFILTER_DROP/tcp:5432")
    assert told(_case(CHECKOUT))
    assert not told(Case(cause.head, _case(CHECKOUT).claims))
    assert not ordinary([], 0.0)(_case())
