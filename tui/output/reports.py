"""The output of `hooks`: the catalogue as text and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable

from probes.model import Hook


def hooks_json(hooks: Iterable[Hook]) -> str:
    return json.dumps(
        {
            "format": "ebpftop-hooks/1",
            "hooks": [
                {
                    "hook": hook.name,
                    "title": hook.title,
                    "answers": hook.question,
                    "target": str(hook.target) or None,
                    "reach": str(hook.reach),
                    "at_start": not hook.on_demand and hook.reach == "looks on",
                    "rungs": [
                        {"rung": r.name, "least": r.requires, "misses": r.misses or None}
                        for r in hook.ladder
                    ],
                    "columns": [
                        {"name": c.name, "unit": str(c.unit), "kind": str(c.kind), "help": c.help}
                        for c in hook.columns
                        if not c.hidden
                    ],
                }
                for hook in hooks
            ],
        }
    )


def hooks_text(hooks: Iterable[Hook]) -> str:
    blocks = []
    for hook in hooks:
        target = f"@{str(hook.target).upper()}" if hook.target else ""
        asked = "" if hook.reach == "looks on" else "  (in the data path: attached on request only)"
        lines = [f"{hook.name}{target}{asked}", f"  {hook.question}"]
        lines += [
            f"  {'then' if i else 'rung'} {r.name}: {r.requires}" for i, r in enumerate(hook.ladder)
        ]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)
