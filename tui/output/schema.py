"""The JSON Schema of the format ebpftop/1, made from the catalogue: docs/format.schema.json.

    ebpftop hooks --schema > docs/format.schema.json

The format is extended, never broken: readers must ignore unknown keys, so nothing here forbids
more. What is named is always present and has that type.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from probes.analysis.cases.claim import Gravity
from probes.analysis.cases.finding import Progress
from probes.model import Column, Hook, Kind, State
from probes.units import Unit
from tui.output.document import FORMAT, OF_PLACE, PLACES

Schema = dict[str, object]

_TEXT: Schema = {"type": "string"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
_NUMBER_OR_NULL: Schema = {"type": ["number", "null"]}
_COUNT_OR_NULL: Schema = {"type": ["integer", "null"], "minimum": 0}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_PARTIES: tuple[Schema, ...] = (
    {"program": _TEXT},
    {"rule": _TEXT},
    {
        "pid": _COUNT_OR_NULL,
        "comm": _TEXT_OR_NULL,
        "container": _TEXT_OR_NULL,
        "unit": _TEXT_OR_NULL,
    },
)
"""Participants in a finding."""


def schema(hooks: Mapping[str, Hook]) -> Schema:
    """Return the schema of one object: `once --json`, a line of `stream` or `replay --json`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": FORMAT,
        "description": "What ebpftop once --json prints, and each line of stream and replay "
        "--json; findings --json prints a #/$defs/verdict. More may be added; ignore what you do "
        "not know.",
        **_object(
            {
                **_beginning(),
                "findings": _array({"$ref": "#/$defs/finding"}),
                "hooks": _array({"$ref": "#/$defs/hook"}),
                "rules": _array({"$ref": "#/$defs/rule"}),
                "programs": _array({"$ref": "#/$defs/programs"}),
                "funnel": _array({"$ref": "#/$defs/funnel"}),
            }
        ),
        "$defs": {
            "hook": {
                **_hook(),
                "allOf": [
                    {
                        "if": {"properties": {"hook": {"const": hook.name}}},
                        "then": {"properties": _rows(hook)},
                    }
                    for hook in hooks.values()
                ],
            },
            "refusal": _object(
                {"rung": _TEXT, "error": _TEXT, "why": _TEXT, "remedy": _TEXT_OR_NULL}
            ),
            "finding": _finding(),
            "verdict": _verdict(),
            "rule": _rule(),
            "programs": _programs(hooks),
            "funnel": _object(
                {"interface": _TEXT, "unit": {"const": "skbs"}, "stages": _array(_stage())}
            ),
        },
    }


def _beginning() -> Schema:
    return {
        "format": {"const": FORMAT},
        "time": {"type": "number", "description": "time of its newest reading, Unix seconds"},
        "host": _TEXT,
        "netns": {
            **_TEXT_OR_NULL,
            "description": "network namespace it is looked at from; null: the host's own",
        },
        "kernel": _TEXT,
        "interval": {
            **_NUMBER_OR_NULL,
            "description": "seconds over which rates are computed",
        },
    }


def _verdict() -> Schema:
    """Return the schema of what `findings --json` prints."""
    blind: Schema = {"hook": _TEXT, "target": _TEXT_OR_NULL, "why": _TEXT}
    watched = {"type": "number", "description": "how long it was watched, seconds"}
    left = {**_NUMBER_OR_NULL, "description": "seconds until usual values are known; 0: they are"}
    return _object(
        {
            **_beginning(),
            "findings": _array({"$ref": "#/$defs/finding"}),
            "blind": _array(_object(blind)),
            "watched": watched,
            "usual_known_in": left,
        }
    )


def _object(properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _hook() -> Schema:
    cost = _object({"runs": _COUNT, "ns_per_run": _NUMBER_OR_NULL, "cpu_percent": _NUMBER_OR_NULL})
    column = _object(
        {
            "name": _TEXT,
            "unit": {"enum": [str(u) for u in Unit]},
            "kind": {"enum": [str(k) for k in Kind]},
        }
    )
    return _object(
        {
            "hook": _TEXT,
            "target": _TEXT_OR_NULL,
            "state": {"enum": [str(s) for s in State]},
            "rung": _TEXT_OR_NULL,
            "refused": _array({"$ref": "#/$defs/refusal"}),
            "note": _TEXT_OR_NULL,
            "cost": {"anyOf": [{"type": "null"}, cost]},
            "time": {"type": "number", "description": "when it was read, Unix seconds"},
            "lost": {**_COUNT, "description": "events that were lost"},
            "forgotten": {**_COUNT, "description": "rows left out to stay within --memory"},
            "columns": _array(column),
            "rows": _array({"type": "object"}),
        }
    )


def _rows(hook: Hook) -> Schema:
    """Return the schema of one hook's rows, and of its log if it has one."""
    rows: Schema = {"rows": _array(_object(_values(c for c in hook.columns if not c.hidden)))}
    if hook.log:
        rows["log"] = _array(_object(_values(hook.log)))
        rows["unlogged"] = {**_COUNT, "description": "events that were counted but not logged"}
    return rows


def _programs(hooks: Mapping[str, Hook]) -> Schema:
    """Return the schema of an interface's programs."""

    def told(place: str) -> Schema:
        columns = hooks["xdp-programs" if place == "xdp" else "tc-programs"].columns
        left = (c for c in columns if not c.hidden and c.name not in OF_PLACE)
        return _array(_object(_values(left)))

    return _object({"interface": _TEXT, **{place: told(place) for place in PLACES}})


def _values(columns: Iterable[Column]) -> Schema:
    found: Schema = {}
    for column in columns:
        kinds = ["string"] if column.unit is Unit.TEXT else ["number"]
        found[column.name] = {"type": [*kinds, "null"], "description": column.help}
        if column.kind is Kind.COUNTER:
            found[f"{column.name}_per_s"] = _NUMBER_OR_NULL
    return found


def _finding() -> Schema:
    """Return the schema of a finding. share: 0 to 1. now, usual, peak: in its unit."""
    said = {
        "share": "of `of`, 0 to 1; null where that is not counted",
        "now": "null when it is over",
        "usual": "null: not known",
        "usual_since": "boot: an average since boot; watch: the median of up to 15 minutes",
        "since": "Unix seconds; null: since before watched_since",
        "until": "Unix seconds of when it was last so; null: it goes on",
        "ordinary": "the settings call it ordinary here",
        "next": "commands, and kernel parameters with their values",
    }
    names = ("interface", "netns", "netns_name", "stage", "address", "call")
    where: Schema = {**dict.fromkeys(names, _TEXT_OR_NULL), "port": _COUNT_OR_NULL}
    finding: dict[str, Schema] = {
        "id": _TEXT,
        "state": {"enum": [str(state) for state in Progress]},
        "severity": {"enum": [gravity.name.lower() for gravity in Gravity]},
        "what": _TEXT,
        "share": _NUMBER_OR_NULL,
        "of": _TEXT_OR_NULL,
        "now": _NUMBER_OR_NULL,
        "usual": _NUMBER_OR_NULL,
        "usual_since": {"enum": ["boot", "watch", None]},
        "peak": _NUMBER_OR_NULL,
        "unit": _TEXT,
        "since": _NUMBER_OR_NULL,
        "watched_since": {"type": "number"},
        "until": _NUMBER_OR_NULL,
        "ordinary": {"type": "boolean"},
        "who": _array({"anyOf": [_object(one) for one in _PARTIES]}),
        "where": _object(where),
        "evidence": _array(_object({"hook": _TEXT, "text": _TEXT, "value": _NUMBER_OR_NULL})),
        "next": _array(_TEXT),
    }
    return _object({n: _described(kind, said.get(n)) for n, kind in finding.items()})


def _described(schema: Schema, said: str | None) -> Schema:
    return schema if said is None else {**schema, "description": said}


def _rule() -> Schema:
    return _object(
        {
            "interface": _TEXT,
            "rule": _TEXT,
            "rung": _TEXT_OR_NULL,
            "refused": _array({"$ref": "#/$defs/refusal"}),
            "note": _TEXT_OR_NULL,
            "ttl": {"type": "number"},
            "expires_in": {"type": "number"},
            "packets": _COUNT,
            "bytes": _COUNT,
        }
    )


def _stage() -> Schema:
    """Return the schema of a stage.

    in, lost, ordinary: skbs. segments: what arrived, as it was on the wire.
    """
    return _object(
        {
            "stage": _TEXT,
            "in": _COUNT_OR_NULL,
            "in_per_s": _NUMBER_OR_NULL,
            "segments": _COUNT_OR_NULL,
            "segments_per_s": _NUMBER_OR_NULL,
            "lost": _COUNT_OR_NULL,
            "lost_per_s": _NUMBER_OR_NULL,
            "ordinary": _COUNT_OR_NULL,
            "ordinary_per_s": _NUMBER_OR_NULL,
            "why": _TEXT_OR_NULL,
        }
    )
