"""A detector's claim as the line of trouble of a pane."""

from __future__ import annotations

from collections.abc import Sequence

from probes import units
from probes.analysis.cases import words
from probes.analysis.cases.claim import Claim
from tui.table.many_records import MARKS
from tui.toolkit.pane import Trouble


def trouble_of(claims: Sequence[Claim]) -> Trouble | None:
    """Return the line of the gravest claim, which counts the others; None if there is none.

    claims: the gravest first.
    """
    if not claims:
        return None
    first, others = claims[0], len(claims) - 1
    more = f"  (and {others} more)" if others else ""
    long, brief = (units.printable(f"{said}{more}") for said in (_line(first), _brief(first)))
    return Trouble(MARKS[first.severity], long, brief)


def _brief(claim: Claim) -> str:
    """Return what, how much of all, and who, in few words."""
    amount = words.amount(claim.now, claim.unit)
    part = words.percent(claim.share) if claim.share is not None else amount
    who = f" ({words.owned(claim.who[0])})" if claim.who else ""
    return f"{claim.what}, {part}{who}"


def _line(claim: Claim) -> str:
    part = f"{units.percent(100 * claim.share)} of {claim.of}" if claim.share is not None else ""
    who = ", ".join(list(dict.fromkeys(map(words.owned, claim.who)))[:2])
    evidence = next((e.text for e in claim.evidence if e.text), "")
    said = [claim.what, part, words.amount(claim.now, claim.unit), evidence]
    return ", ".join(filter(None, said)) + (f" ({who})" if who else "")
