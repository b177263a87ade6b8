"""Drop rules as text and JSON."""

from __future__ import annotations

import json

from probes.drop_rule import parse
from probes.model import Enforced, Refusal
from probes.source import Host
from tui.output import document

HOST = Host("h", "6.1")
STANDS = Enforced(
    "eth0", parse("src 192.0.2.0/24 ttl 5m"), "tcx", 299.5, 1234, 56789,
    (Refusal("xdp-native", "EBUSY", "somebody is there"),),
)  # fmt: skip
NOT = Enforced("eth\x1b1", parse("udp"), None, 0.0, note="somebody else detached it")


def test_the_json_has_every_rule_with_what_it_dropped() -> None:
    first, second = json.loads(document.document(HOST, 1.0, 1.0, [], rules=[STANDS, NOT]))["rules"]
    assert first == {
        "interface": "eth0",
        "rule": "src 192.0.2.0/24",
        "rung": "tcx",
        "refused": [
            {"rung": "xdp-native", "error": "EBUSY", "why": "somebody is there", "remedy": None}
        ],
        "note": None,
        "ttl": 300.0,
        "expires_in": 299.5,
        "packets": 1234,
        "bytes": 56789,
    }
    assert (second["rung"], second["note"]) == (None, "somebody else detached it")


def test_without_rules_the_list_is_empty() -> None:
    assert json.loads(document.document(HOST, 1.0, 1.0, []))["rules"] == []
    assert document.report(HOST, []) == ""


def test_the_text_says_what_is_dropped_before_all_else_and_harmlessly() -> None:
    first, second = document.report(HOST, [], [STANDS, NOT]).splitlines()
    assert first.startswith("DROPPING eth0: src 192.0.2.0/24 on tcx: 1.2k packets, ")
    assert first.endswith("left")
    assert second.startswith("NOT DROPPING eth")
    assert second.endswith("proto udp: somebody else detached it")
    assert "\x1b" not in second
