"""Findings as JSON and as text: every field, no more than is known, and nothing that misleads."""

from __future__ import annotations

import json
from typing import Any

import jsonschema

from probes.analysis.cases.claim import Gravity, Who
from probes.analysis.cases.finding import Progress
from probes.hooks import catalogue
from probes.source import Host
from tests.support.findings import WATCHED, finding
from tui.output.document import document, report
from tui.output.findings import FoundWrong, finding_json
from tui.output.schema import schema

HOST = Host("here", "6.1.0")
PROMISED = ("id", "state", "severity", "what", "share", "of", "now", "usual", "unit", "since",
            "until", "who", "where", "evidence", "next")  # fmt: skip


def _rmem(name: str) -> str | None:
    return {"net.core.rmem_max": "212992"}.get(name)


def test_a_finding_has_every_field_that_is_promised() -> None:
    told = finding_json(finding(), _rmem)
    assert [name for name in PROMISED if name not in told] == []
    assert told == {
        "id": "drops/eth1/acme_filter",
        "state": "now",
        "severity": "alarm",
        "what": "eth1 drops packets",
        "share": 0.38,
        "of": "packets received",
        "now": 7800.0,
        "usual": 0.5,
        "usual_since": "watch",
        "peak": 9000.0,
        "unit": "packets/s",
        "since": WATCHED + 10,
        "watched_since": WATCHED,
        "until": None,
        "ordinary": False,
        "who": [
            {"program": "acme_filter#412"},
            {"pid": 811, "comm": "rsyslogd", "container": None, "unit": None},
        ],
        "where": {"interface": "eth1", "netns": "host", "stage": "xdp", "port": None,
                  "address": None, "call": None, "netns_name": None},
        "evidence": [{"hook": "xdp-programs", "text": "6.6k/s dropped by XDP acme_filter#412",
                      "value": 6600.0}],
        "next": ["bpftool prog show id 412", "net.core.rmem_max is 212992"],
    }  # fmt: skip


def test_what_is_not_known_is_null() -> None:
    told = finding_json(finding(share=None, since=None, state=Progress.OVER))
    assert (told["share"], told["of"], told["since"], told["now"]) == (None, None, None, None)
    assert told["until"] == WATCHED + 60


def test_a_knob_of_elsewhere_has_no_value() -> None:
    """Of a recording or another host, the command; of another namespace, nothing."""
    look = "bpftool prog show id 412"
    assert finding_json(finding())["next"] == [look, "sysctl net.core.rmem_max"]
    assert finding_json(finding(netns="4026532001"), _rmem)["next"] == [look]


def test_findings_of_every_state_are_of_the_format() -> None:
    holds: Any = jsonschema.Draft202012Validator(schema(catalogue())).validate
    every = [finding(state=s, severity=g, since=since) for s in Progress for g in Gravity
             for since in (None, WATCHED)]  # fmt: skip
    said = json.loads(document(HOST, WATCHED, 1.0, [], found=FoundWrong(every, _rmem)))
    holds(said)
    assert len(said["findings"]) == 12
    said["findings"][3]["state"] = "later"
    try:
        holds(said)
    except jsonschema.ValidationError:
        pass
    else:
        raise AssertionError("a state that there is not")


def test_text_says_what_who_how_much_since_when_and_what_next() -> None:
    lines = FoundWrong([finding()], _rmem).as_text(WATCHED + 36).splitlines()
    assert lines[0].startswith("! eth1 drops packets, 38% of packets received, 7.8k/s, since ")
    assert lines[0].endswith(", 26 s ago")
    assert lines[1:] == [
        "    acme_filter#412, rsyslogd[811]",
        "    6.6k/s dropped by XDP acme_filter#412",
        "    next: bpftool prog show id 412",
        "    next: net.core.rmem_max is 212992",
    ]


def test_marks_tell_alarms_notices_and_what_is_over_or_ordinary() -> None:
    every = FoundWrong(
        [
            finding(),
            finding(severity=Gravity.NOTICE),
            finding(state=Progress.OVER),
            finding(ordinary=True),
        ]
    )
    marks = [line[0] for line in every.as_text(WATCHED, every=True).splitlines() if line[0] != " "]
    assert marks == ["!", "~", "-", "."]
    assert "\n. " not in every.as_text(WATCHED)
    assert every.ordinary == 1


def test_a_report_begins_with_what_is_wrong_now() -> None:
    """What is over or ordinary is not there; nothing is said where nothing is wrong."""
    calm = FoundWrong([finding(state=Progress.OVER), finding(ordinary=True)])
    assert calm.wrong_as_text(WATCHED) == ""
    wrong = FoundWrong([finding(), finding(state=Progress.OVER)]).wrong_as_text(WATCHED)
    said = report(HOST, [], wrong=wrong)
    assert said.startswith("what is wrong:\n! eth1 drops packets, 38%")
    assert said.count("eth1 drops packets") == 1


def test_no_name_that_somebody_chose_reaches_the_terminal_as_it_is() -> None:
    bad = "x\x1b[2J\u202e\n"
    said = FoundWrong([finding(f"a/{bad}", Who(bad, 7))]).as_text(WATCHED)
    assert all(line.isprintable() for line in said.splitlines())
