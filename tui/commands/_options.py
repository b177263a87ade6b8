"""Options shared by several commands, and the errors for bad values."""

from __future__ import annotations

import argparse
import math
import textwrap
from pathlib import Path
from typing import Any, Protocol

from probes.custom import spec
from probes.custom.catalogue import Catalogue
from probes.drop_rule import DropRule, RuleError, parse_on
from probes.model import HookId, TargetKind
from probes.recording import files
from probes.sources.live import budget, memory
from probes.units import no_such, printable, quoted
from tui.commands._help import LADDER, WIDTH
from tui.output import colour
from tui.output.formats import FORMATS
from tui.output.scope import KINDS, Scope


class ArgumentGroup(Protocol):
    """A parser, or a titled group of its options."""

    def add_argument(self, *names: str, **how: Any) -> argparse.Action: ...


def screen_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the screen")
    color_option(group)
    group.add_argument("--theme", metavar="NAME", help="colour theme (T changes it at any time)")
    group.add_argument(
        "--ascii",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="draw with ASCII alone, for terminals without UTF-8",
    )
    group.add_argument(
        "--slow-link",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="send less to the terminal: 256 colours, no graphs, two updates a second",
    )
    group.add_argument(
        "--mouse",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="use the mouse (default), or leave it to the terminal",
    )


def format_options(parser: argparse.ArgumentParser, default: str | None) -> None:
    said = f"default {default}" if default else "default: the screen"
    parser.add_argument(
        "--format", choices=FORMATS, default=default, help=f"output format ({said})"
    )
    parser.add_argument(
        "--json", action="store_const", const="json", dest="format", help="--format json"
    )
    if default:
        color_option(parser)


def color_option(parser: ArgumentGroup) -> None:
    parser.add_argument(
        "--color",
        choices=colour.CHOICES,
        default="auto",
        help="when to use colours: auto (default) means on a terminal, unless NO_COLOR is set",
    )


def scope_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("scope")
    group.add_argument(
        "-i",
        "--interface",
        metavar="IFACE",
        type=interface_name,
        help="show only this interface; on the screen this is a filter, which Esc clears",
    )
    group.add_argument("-p", "--pid", metavar="PID", type=positive, help="show only this process")

    group.add_argument(
        "--scope",
        metavar="KIND:NAME",
        action="append",
        default=[],
        type=_scope,
        help=f"show only this; kinds are {', '.join(KINDS)} (repeatable; -i and -p are "
        "short for the last two)",
    )


def scope_of(arguments: argparse.Namespace) -> Scope:
    """Return what the output is to be restricted to."""
    parts: dict[str, Any] = dict(arguments.scope)
    parts |= {n: v for n in ("interface", "pid") if (v := getattr(arguments, n)) is not None}
    return Scope(**parts)


def _netns(text: str) -> str:
    if not text or "\0" in text:
        raise argparse.ArgumentTypeError("give the name of a network namespace, or a process's id")
    return text


def _scope(text: str) -> tuple[str, str | int]:
    kind, _, name = text.partition(":")
    if kind not in KINDS or not name:
        said = f"write KIND:NAME, such as container:web; kinds are {', '.join(KINDS)}"
        raise argparse.ArgumentTypeError(said)
    if kind == "pid":
        return kind, positive(name)
    return "container" if kind == "pod" else kind, name


def interface_name(text: str) -> str:
    """Check what the kernel would take as a name, or as an alternative name."""
    if not text or len(text) > 127 or any(c.isspace() or c in "/:" for c in text):
        raise argparse.ArgumentTypeError(
            f"{quoted(text)} is not the name of an interface: `ip link` lists them"
        )
    return text


def hook_options(parser: argparse.ArgumentParser) -> None:
    group = hooks_group(parser)
    group.add_argument(
        "--hook",
        metavar="HOOK[@TARGET]",
        action="append",
        dest="hooks",
        type=hook_id,
        help="read only this hook (repeatable; default: all that are not marked 'on request' by "
        "`ebpftop hooks`)",
    )
    rung_option(group)
    watch_options(parser)


def hooks_group(parser: argparse.ArgumentParser) -> ArgumentGroup:
    """Return the group of options that choose hooks and rungs, which says what a rung is."""
    return parser.add_argument_group("hooks and rungs", textwrap.fill(LADDER, WIDTH))


def watch_options(parser: argparse.ArgumentParser) -> None:
    netns_option(parser)
    limits = parser.add_argument_group("limits")
    limits.add_argument(
        "--observe-only", action="store_true", help="never attach anything in a data path"
    )
    budget_option(limits)
    memory_option(limits)
    bundle_option(parser)
    rules = parser.add_argument_group("drop rules")
    drop_option(rules)
    rules.add_argument(
        "--drop-anyway",
        action="store_true",
        help="accept --drop without a terminal even if your own connection, which rules would "
        "spare, is not found",
    )


def netns_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument_group("network namespace").add_argument(
        "--netns",
        metavar="NAME|PID",
        type=_netns,
        help="look from inside this network namespace: its interfaces, sockets and packets; a name "
        "of `ip netns`, a container's, or the id of a process in it. System calls and files are "
        "still those of the whole host",
    )


def bundle_option(parser: ArgumentGroup) -> None:
    parser.add_argument(
        "--bundle",
        metavar="FILE",
        type=named_file,
        help="use the programs that `ebpftop bundle` compiled for this kernel build, on a host "
        "without bcc (default: what fits in /var/lib/ebpftop/bundles, if there is no bcc)",
    )


def budget_option(parser: ArgumentGroup) -> None:
    parser.add_argument(
        "--budget",
        metavar="PERCENT",
        type=_budget,
        default=budget.DEFAULT,
        help="limit for all hooks' programs, as a share of one CPU such as 2%%, or off (default "
        "5%%): beyond it ebpftop slows the most expensive hook, then detaches it",
    )


def memory_option(parser: ArgumentGroup) -> None:
    parser.add_argument(
        "--memory",
        metavar="MB",
        type=_memory,
        default=memory.default(),
        help="limit for ebpftop, the compiler and the maps (default 200, and 2 more for each CPU "
        "beyond 32): beyond it ebpftop leaves out the least active rows, and shows how many",
    )


def drop_option(parser: ArgumentGroup) -> None:
    parser.add_argument(
        "--drop",
        metavar="IFACE:RULE",
        action="append",
        default=[],
        type=_drop,
        dest="drops",
        help="drop incoming packets, such as 'eth0: src 192.0.2.0/24 udp dport 53 ttl 5m', until "
        "the ttl (default 10m) expires or ebpftop ends (repeatable)",
    )


def rung_option(parser: ArgumentGroup) -> None:
    parser.add_argument(
        "--rung",
        metavar="HOOK=RUNG",
        action="append",
        default=[],
        type=_pin,
        dest="rungs",
        help="use only this rung of the hook's ladder (repeatable)",
    )


def interval_option(parser: ArgumentGroup, default: float | None = 1.0) -> None:
    parser.add_argument(
        "-d",
        "--interval",
        metavar="SECONDS",
        type=_interval,
        default=default,  # None: as the settings say
        help=f"seconds between readings (default {default or 1:g})",
    )


def hook_id(text: str) -> HookId:
    if spec.is_spec(text):
        return HookId(str(_spec(text)))
    id = HookId.parse(text)
    known = Catalogue()
    hook = known.get(id.hook)
    if hook is None:
        raise argparse.ArgumentTypeError(_no_hook(id.hook, known))
    if hook.target is TargetKind.NONE and id.target is not None:
        raise argparse.ArgumentTypeError(
            f"the hook {id.hook} takes no target: leave out what follows {id.hook}"
        )
    if hook.target is not TargetKind.NONE and not id.target:
        raise argparse.ArgumentTypeError(f"name the {hook.target}: {id.hook}@{hook.target.upper()}")
    return id


def _no_hook(name: str, known: Catalogue) -> str:
    return no_such("hook", name, tuple(known))


def _spec(text: str) -> spec.Spec:
    """Parse a custom hook in its canonical form; whether the place exists is checked later."""
    try:
        return spec.parse(text)
    except spec.SpecError as wrong:
        raise argparse.ArgumentTypeError(str(wrong)) from None


def _pin(text: str) -> tuple[str, str]:
    hook, equals, rung = text.rpartition("=")
    if spec.is_spec(hook):
        own = _spec(hook)
        if rung not in spec.RUNGS[own.kind]:
            rungs = ", ".join(spec.RUNGS[own.kind])
            raise argparse.ArgumentTypeError(f"{own.point} has no rung {rung!r}; it has {rungs}")
        return str(own), rung
    hooks = Catalogue()
    if not equals:
        raise argparse.ArgumentTypeError("write HOOK=RUNG, such as drops=counters")
    known = hooks.get(hook)
    if known is None:
        raise argparse.ArgumentTypeError(_no_hook(hook, hooks))
    if known.rung(rung) is None:
        rungs = ", ".join(r.name for r in known.ladder)
        raise argparse.ArgumentTypeError(f"{hook} has no rung {rung!r}; it has {rungs}")
    return hook, rung


def _drop(text: str) -> tuple[str, DropRule]:
    try:
        return parse_on(text)
    except RuleError as wrong:
        raise argparse.ArgumentTypeError(str(wrong)) from None


def named_file(path: str) -> Path:
    """Refuse "-", which elsewhere is the standard output: only a file can hold this."""
    if path == "-":
        raise argparse.ArgumentTypeError("name a file; nothing is written to standard output")
    return Path(path)


def writable(path: str) -> Path:
    """Check now that the file can be written, so that nobody waits for nothing.

    An existing file is kept until there is something to write.
    """
    file = named_file(path)
    try:
        files.check(file)
    except OSError as refused:
        wrong = f"{printable(path)} cannot be written: {refused.strerror}"
        raise argparse.ArgumentTypeError(wrong) from None
    return file


def _memory(text: str) -> int:
    try:
        return memory.parse(text)
    except ValueError as wrong:
        raise argparse.ArgumentTypeError(str(wrong)) from None


def _budget(text: str) -> float | None:
    try:
        return budget.parse(text)
    except ValueError as wrong:
        raise argparse.ArgumentTypeError(str(wrong)) from None


def seconds(text: str) -> float:
    value = _number(text)
    if not 0 <= value <= 86400 * 365:
        raise argparse.ArgumentTypeError(
            f"{quoted(text)} is not a number of seconds: write 10 or 0.5"
        )
    return value


def _interval(text: str) -> float:
    value = _number(text)
    if not 0.1 <= value <= 3600:
        raise argparse.ArgumentTypeError("the interval must be from 0.1 to 3600 seconds")
    return value


def speed(text: str) -> float:
    value = _number(text)
    if not 0.1 <= value <= 60:
        raise argparse.ArgumentTypeError("the speed must be from 0.1 to 60")
    return value


def _number(text: str) -> float:
    """Parse a number as Python does; return NaN, which is within no bounds, for anything else."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def address(text: str) -> tuple[str, int]:
    from tui.prometheus.server import parse  # prometheus_client costs 0.1 s

    try:
        return parse(text)
    except ValueError as wrong:
        raise argparse.ArgumentTypeError(str(wrong)) from None


def positive(text: str) -> int:
    return _whole(text, 1, "a number above 0")


def seed(text: str) -> int:
    return _whole(text, 0, "a whole number")


def _whole(text: str, least: int, what: str) -> int:
    """Parse a whole number from `least` up, of at most nine digits."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 9 and int(text) >= least):
        raise argparse.ArgumentTypeError(f"{quoted(text)} is not {what}")
    return int(text)
