"""`ebpftop hooks`: list the catalogue of hooks."""

from __future__ import annotations

import argparse
import json

from probes.custom.catalogue import Catalogue
from probes.hooks import catalogue
from tui.commands import _options
from tui.commands._help import LADDER, PRINTED
from tui.commands._run import DONE, say
from tui.output import colour, reports
from tui.output.schema import schema

HELP = "list the catalogue of hooks"
ORDER = 20
ABOUT = LADDER
EXAMPLES = {
    "ebpftop hooks": "every hook, what it answers, and its rungs",
    "ebpftop hooks --json | jq -r '.hooks[].hook'": "their names",
}
STATUSES = PRINTED


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _options.color_option(parser)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="print JSON")
    how.add_argument(
        "--schema",
        action="store_true",
        help="instead, print the JSON Schema of the format ebpftop/1",
    )


def run(arguments: argparse.Namespace) -> int:
    if arguments.schema:
        print(json.dumps(schema(catalogue()), indent=1))
        return DONE
    hooks = Catalogue()
    say(hooks.complaints)
    report = reports.hooks_json if arguments.json else reports.hooks_text
    print(colour.painted(report(hooks.values()), arguments.color))
    return DONE
