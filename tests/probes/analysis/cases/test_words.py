"""What is said where nothing is wrong: no more than is known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from probes.analysis.cases import words
from probes.analysis.cases.claim import Evidence
from probes.analysis.cases.joined import Case
from probes.model import HookId, Refusal, State, Status
from tests.support.findings import finding


@pytest.mark.parametrize(
    ("watched", "unknown_for", "said"),
    [
        (
            3.2,
            12.0,
            "watching for 3 s: nothing is failing outright; usual values are known in 12 s",
        ),
        (
            15.0,
            0.2,
            "watching for 15 s: nothing is failing outright; usual values are known in 1 s",
        ),
        (15.0, 0.0, "ok: nothing is unusual here"),
    ],
)
def test_ok_is_said_where_it_is_known(watched: float, unknown_for: float, said: str) -> None:
    assert words.calm(watched, unknown_for) == said


def test_counters_are_known_since_boot_until_the_rest_is() -> None:
    counters = "counters are at their average since boot"
    assert words.calm(3.0, 12.0, counters).endswith(f"are known in 12 s; {counters}")
    assert words.calm(30.0, 0.0, counters) == "ok: nothing is unusual here"
    assert words.calm_after(3.0, 12.0, counters).endswith(f"after 12 s more; {counters}")


def test_a_watch_that_has_ended_says_how_long_it_was() -> None:
    said = words.calm_after(3.0, 12.0)
    assert said == "nothing is wrong: watched 3 s; usual values are known after 12 s more"
    assert words.calm_after(130.0, 0) == "nothing is wrong: watched 2 min, and nothing was unusual"


def test_ordinary_cases_are_counted() -> None:
    assert [words.hidden(n) for n in (0, 1, 2)] == [
        "",
        "1 more is ordinary here",
        "2 more are ordinary here",
    ]


def test_what_is_not_read_is_said_with_the_last_reason() -> None:
    refused = (Refusal("fentry", "EPERM", "no"), Refusal("kprobe", "EPERM", "it lacks CAP_BPF"))
    status = Status(HookId("drops"), State.FAILED, None, refused)
    assert words.unread(status) == "drops is not read: it lacks CAP_BPF"
    assert words.unread(Status(HookId("drops"), State.DETACHED)) == "drops is not read"


def test_a_knob_has_its_value_or_how_it_is_asked_for() -> None:
    assert words.knob("net.core.rmem_max", "212992") == "net.core.rmem_max is 212992"
    assert words.knob("net.core.rmem_max", None) == "sysctl net.core.rmem_max"


def test_evidence_beyond_the_first_pieces_is_counted() -> None:
    """A flood that comes in by sixteen interfaces is still one line."""
    found = finding()
    counted = tuple(Evidence("drops", f"10/s at eth{n}", 10.0) for n in range(16))
    many = replace(found, case=Case(replace(found.case.head, evidence=counted)))
    assert words.evidence(many).endswith("10/s at eth3; and 12 more")
    assert words.evidence(found) == "6.6k/s dropped by XDP acme_filter#412"
