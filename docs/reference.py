"""The reference, made from the code: keys, columns, hooks, JSON, metrics, commands, refusals.

`python -m docs.reference FOLDER` writes one page of Markdown for each. Nothing of it is committed:
what is in the code cannot be out of date.
"""

from __future__ import annotations

import ast
import json
import os
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from probes.hooks import catalogue
from probes.model import Column, Hook, Kind
from probes.source import Host
from tui.commands import MONITOR, _manual, _parsing
from tui.output.schema import schema
from tui.panes import inner_panes, panes
from tui.prometheus.metrics import Exported, name_of
from tui.screen.keymap import KEYS

ROOT = Path(__file__).resolve().parents[1]


def table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a table of Markdown."""
    heads = tuple(heads)
    lines = [_row(heads), _row("---" for _ in heads), *map(_row, rows)]
    return "\n".join(lines)


def _row(cells: Iterable[object]) -> str:
    texts = (" ".join(str(cell).split()).replace("|", r"\|") for cell in cells)
    return f"| {' | '.join(texts)} |"


def code(text: str) -> str:
    return f"`{text}`" if text else ""


def keys() -> Iterator[str]:
    """Yield the key table, by the groups of the help."""
    yield "# Keys"
    yield (
        "Pressed on the screen; `?` shows those that work where you are. The id is what `[keys]` "
        "of the [settings](../guide/settings.md) rebinds."
    )
    for group in dict.fromkeys(key.group for key in KEYS):
        yield f"## {group}"
        rows = [(code(k.shown), k.help, code(k.id)) for k in KEYS if k.group == group and k.help]
        yield table(("key", "what it does", "id"), rows)


def hooks() -> Iterator[str]:
    """Yield each hook with its ladder."""
    yield "# Hooks"
    yield (
        "What can be attached. A hook's ladder is the ways to get its numbers, best first; a rung "
        "is one of them. Hooks that are not marked are attached at start; `ebpftop doctor` says "
        "which rung this kernel offers. Columns: [columns](columns.md)."
    )
    for hook in catalogue().values():
        yield f"## {hook.name}"
        yield f"{hook.question} {_marks(hook)}".strip()
        yield table(
            ("rung", "needs", "does not see"),
            [(code(r.name), r.requires, r.misses) for r in hook.ladder],
        )
        if hook.risk:
            yield f"**Before you attach it**: {hook.risk}"


def _marks(hook: Hook) -> str:
    target = f"Written as `{hook.name}@{str(hook.target).upper()}`. " if hook.target else ""
    if hook.reach != "looks on":
        return f"{target}**In the data path: attached on request only.**"
    return f"{target}**Attached on request only.**" if hook.on_demand else target


def columns() -> Iterator[str]:
    """Yield the columns of each hook, as in JSON, CSV and recordings, and those of each pane."""
    yield "# Columns"
    yield (
        "By hook: the names that JSON, CSV and recordings have. A counter `x` also has its rate "
        "`x_per_s`. Units: ns, us, bytes and packets as they are named."
    )
    for hook in catalogue().values():
        yield f"## {hook.name}"
        shown = [c for c in hook.columns if not c.hidden]
        yield table(("column", "kind", "unit", "what it is"), map(_column, shown))
        if hook.log:
            yield "Its log, an entry for each event:"
            yield table(("column", "unit", "what it is"), [_logged(c) for c in hook.log])
    yield "# Columns on the screen"
    yield "By pane: the names for filters (`/`), for `[sort]` and for presets."
    for pane in (*panes(catalogue()), *inner_panes(catalogue()).values()):
        yield f"## Pane {pane.title}"
        fields = pane.fields(catalogue())
        rows = [(code(f.name), f.title.strip(), f.help) for f in fields]
        yield table(("column", "title", "what it is"), rows)


def _column(column: Column) -> tuple[str, ...]:
    said = column.help or column.title
    return code(column.name), str(column.kind), str(column.unit), said


def _logged(column: Column) -> tuple[str, ...]:
    return code(column.name), str(column.unit), column.help or column.title


def json_page() -> Iterator[str]:
    """Yield the format `ebpftop/1`, object by object."""
    whole = schema(catalogue())
    yield "# JSON"
    yield str(whole["description"])
    yield (
        "The JSON Schema is `docs/format.schema.json`, and `ebpftop hooks --schema` prints it. "
        "What is promised of it: [releases](../releases.md)."
    )
    yield "## The object"
    yield _properties(whole)
    for name, defined in whole["$defs"].items():
        if "properties" in defined:
            yield f"## {name}"
            if said := defined.get("description"):
                yield str(said)
            yield _properties(defined)


def _properties(defined: Mapping[str, Any]) -> str:
    rows = [
        (code(name), _type(what), what.get("description", ""))
        for name, what in defined.get("properties", {}).items()
    ]
    return table(("field", "type", "what it is"), rows)


def _type(what: Mapping[str, Any]) -> str:
    """Return the type in words: "number or null", "list of finding"."""
    if "$ref" in what:
        name = str(what["$ref"]).rpartition("/")[2]
        return f"[{name}](#{name})"
    if "enum" in what or "const" in what:
        return ", ".join(code(json.dumps(v)) for v in what.get("enum", [what.get("const")]))
    if what.get("type") == "array":
        return f"list of {_type(what.get('items', {}))}"
    kinds = what.get("type", "any value")
    return " or ".join(kinds) if isinstance(kinds, list) else str(kinds)


def metrics() -> Iterator[str]:
    """Yield the metrics of `ebpftop export`."""
    yield "# Metrics"
    yield (
        "What `ebpftop export` serves. A counter has `_total` behind its name, a histogram "
        "`_bucket`, `_sum` and `_count`. Labels: the hook's keys."
    )
    yield "## ebpftop itself, drop rules and findings"
    own = Exported(Host("", "", 0), {}, "").collect()
    rows = [(code(m.name), m.type, m.documentation.removesuffix(".")) for m in own]
    yield table(("metric", "type", "what it is"), rows)
    for hook in catalogue().values():
        if rows := [_metric(hook, c) for c in hook.columns if _is_exported(c)]:
            yield f"## {hook.name}"
            yield table(("metric", "type", "what it is"), rows)


def _is_exported(column: Column) -> bool:
    counted = column.kind in (Kind.COUNTER, Kind.HISTOGRAM)
    level = column.kind is Kind.LEVEL and str(column.unit) not in ("text", "number")
    return counted or (level and not column.hidden)


def _metric(hook: Hook, column: Column) -> tuple[str, ...]:
    kinds = {Kind.COUNTER: "counter", Kind.HISTOGRAM: "histogram"}
    kind = kinds.get(column.kind, "gauge")
    return code(name_of(hook.name, column)), kind, column.help or column.title


def command_line() -> Iterator[str]:
    """Yield the help of every command, and the manual's lists."""
    os.environ["COLUMNS"] = "90"  # whatever the terminal has that this is made on
    yield "# The command line"
    yield "As `ebpftop help COMMAND` says it; also `man ebpftop`, if `ebpftop man` is installed."
    for name in (MONITOR, *_parsing.listed()):
        yield f"## ebpftop {name if name != MONITOR else ''}".strip()
        yield f"```text\n{_parsing.parsers()[name].format_help().rstrip()}\n```"
    yield "## Environment"
    yield table(
        ("variable", "what it does"), [(code(k), v) for k, v in _manual.ENVIRONMENT.items()]
    )
    yield "## Files"
    yield table(("file", "what it holds"), [(code(k), v) for k, v in _manual.FILES.items()])


def refusals() -> Iterator[str]:
    """Yield every refusal that has a remedy, as it stands in the code."""
    yield "# Refusals and remedies"
    yield (
        "Every sentence with which ebpftop refuses something, and what to do. `...` is a name or a "
        "number. The common ones are explained in [troubleshooting](../troubleshooting.md)."
    )
    yield table(("refused", "what to do"), sorted(set(_refusals())))


def _refusals() -> Iterator[tuple[str, str]]:
    trees = [ast.parse(path.read_text()) for path in sorted((ROOT / "probes").rglob("*.py"))]
    public = {name: text for tree in trees for name, text in _texts(tree) if name.isupper()}
    for tree in trees:
        names = {**public, **dict(_texts(tree))}
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                yield from _refusal(node, names)


def _refusal(call: ast.Call, names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    told = {word.arg: _sentence(word.value, names) for word in call.keywords}
    why = told.get("why") or (_sentence(call.args[0], names) if call.args else "")
    if re.search(r"\w", why) and told.get("remedy"):
        yield why, told["remedy"]


def _texts(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield what is assigned to a name once, and is a text."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)):
            continue
        if text := _sentence(node.value, {}):
            yield node.targets[0].id, text


def _sentence(node: ast.expr, names: Mapping[str, str]) -> str:
    """Return a text of the code; what it is filled with as "..."; "" if it is no text."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(str(p.value) if isinstance(p, ast.Constant) else "..." for p in parts)
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return names.get(name, "")
        case ast.Call(func=ast.Attribute(value=text, attr="format")):
            return re.sub(r"\{\w*\}", "...", _sentence(text, names))
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _sentence(left, names) + _sentence(right, names)
    return ""


PAGES: dict[str, Callable[[], Iterator[str]]] = {
    "command-line": command_line,
    "keys": keys,
    "hooks": hooks,
    "columns": columns,
    "json": json_page,
    "metrics": metrics,
    "refusals": refusals,
}


def page(name: str) -> str:
    """Return a page; fold paragraphs, not tables."""
    return "\n\n".join(map(_folded, PAGES[name]())) + "\n"


def _folded(block: str) -> str:
    plain = not block.startswith(("|", "#", "```", "**"))
    return textwrap.fill(block, 100, break_on_hyphens=False) if plain else block


def write(folder: Path) -> None:
    """Write all pages."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in PAGES:
        (folder / f"{name}.md").write_text(page(name))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
