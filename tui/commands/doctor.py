"""`ebpftop doctor`: what this host allows, for each hook and each rung."""

from __future__ import annotations

import argparse

from probes.custom.catalogue import Catalogue
from probes.units import no_such
from tui.commands import _options
from tui.commands._help import LADDER, PRINTED
from tui.commands._run import DONE, UsageError, bundle_of, say
from tui.output import colour

HELP = "check what this host allows: each hook, each rung"
ORDER = 10
ABOUT = LADDER
EXAMPLES = {
    "sudo ebpftop doctor": "every hook and rung, with the remedy for each refusal",
    "sudo ebpftop doctor --hook tcp-connect": "one hook",
    "sudo ebpftop doctor --netns web --hook xdp@eth0": "what a container's interface allows",
    "sudo ebpftop doctor --programs xdp tc": "compare two program types",
}
STATUSES = PRINTED


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")
    _options.color_option(parser)
    _options.bundle_option(parser)
    _options.netns_option(parser)
    parser.add_argument(
        "--hook",
        metavar="HOOK[@TARGET]",
        action="append",
        dest="hooks",
        type=_options.hook_id,
        help="check only this hook, on this target (repeatable)",
    )
    parser.add_argument(
        "--programs",
        nargs="*",
        metavar="TYPE",
        help="instead, list the program types this kernel loads, with contexts, return values and "
        "helpers (no TYPE: all)",
    )


def run(arguments: argparse.Namespace) -> int:
    from tui.commands import _doctor

    if arguments.programs is not None:
        return _programs(arguments)
    say(Catalogue().complaints)
    facts, findings = _doctor.examine(arguments.hooks or (), bundle_of(arguments))
    report = _doctor.as_json if arguments.json else _doctor.as_text
    print(colour.painted(report(facts, findings), arguments.color))
    return DONE


def _programs(arguments: argparse.Namespace) -> int:
    from probes.doctor import program_types
    from tui.commands import _doctor

    if arguments.hooks:
        raise UsageError("use either --hook or --programs, not both")
    for name in arguments.programs:
        if name not in program_types.NAMES:
            raise UsageError(no_such("program type", name, program_types.NAMES))
    report = _doctor.programs_json if arguments.json else _doctor.programs_text
    text = report(program_types.examine(tuple(arguments.programs)))
    print(colour.painted(text, arguments.color))
    return DONE
