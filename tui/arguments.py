"""The command line's words: every command and option, and what is wrong with what was written."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TextIO

from probes import budget, spec
from probes.known import Catalogue
from probes.model import HookId, TargetKind
from probes.rules import Rule, RuleError, parse_on
from tui.formats import FORMATS


def parser() -> argparse.ArgumentParser:
    """run: the command's name."""
    parser = argparse.ArgumentParser(
        prog="ebpftop",
        description="top(1) for the kernel's eBPF hooks",
        epilog="Without a command: the live monitor. Press ? there for its keys.",
    )
    parser.set_defaults(run="monitor")
    _screen_options(parser)
    parser.add_argument(
        "--attach",
        metavar="HOOK[@TARGET]",
        action="append",
        default=[],
        type=_hook_id,
        help="attach this too at start (repeatable)",
    )
    parser.add_argument(
        "--observe-only", action="store_true", help="attach nothing in a data path, ever"
    )
    _budget_option(parser)
    _drop_option(parser)
    _rung_option(parser)
    _interval_option(parser, None)
    parser.add_argument(
        "--remote",
        metavar="USER@HOST",
        action="append",
        default=[],
        help="show that host's kernel, by the system's ssh (repeatable: H goes to the next)",
    )
    parser.add_argument(
        "--remote-command",
        metavar="COMMAND",
        default="ebpftop",
        help="what ebpftop is there, as in 'sudo ebpftop' (default: ebpftop)",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    doctor = commands.add_parser("doctor", help="what this host allows: each hook, each rung")
    doctor.add_argument("--json", action="store_true")
    doctor.add_argument(
        "--hook",
        metavar="HOOK[@TARGET]",
        action="append",
        dest="hooks",
        type=_hook_id,
        help="only this hook, on this target (repeatable)",
    )
    doctor.add_argument(
        "--programs",
        nargs="*",
        metavar="TYPE",
        help="instead: which program types this kernel loads, their contexts, return values and "
        "helpers (no TYPE: all)",
    )
    doctor.set_defaults(run="doctor")

    hooks = commands.add_parser("hooks", help="the catalogue of hooks")
    hooks.add_argument("--json", action="store_true")
    hooks.set_defaults(run="hooks")

    once = commands.add_parser("once", help="attach, watch, print one snapshot, detach")
    once.add_argument(
        "--for",
        dest="seconds",
        metavar="SECONDS",
        type=_seconds,
        default=1.0,
        help="how long to watch (default 1)",
    )
    _format_options(once, "table")
    _batch_options(once)
    once.set_defaults(run="once")

    stream = commands.add_parser("stream", help="the same at each tick, as JSON lines")
    stream.add_argument("--count", type=_positive, metavar="N", help="end after N ticks")
    _format_options(stream, "json")
    _interval_option(stream)
    _batch_options(stream)
    stream.set_defaults(run="stream")

    record = commands.add_parser("record", help="the same into a file, for `replay`")
    record.add_argument("file", metavar="FILE", type=Path)
    record.add_argument(
        "--for",
        dest="seconds",
        metavar="SECONDS",
        type=_seconds,
        help="how long (default: until ^C or SIGTERM)",
    )
    record.add_argument("--force", action="store_true", help="overwrite an older recording")
    _interval_option(record)
    _batch_options(record)
    record.set_defaults(run="record")

    replay = commands.add_parser("replay", help="the screen, from a recording; or print it")
    replay.add_argument("file", metavar="FILE", type=Path)
    replay.add_argument("--at", metavar="TIME", help="begin there: 12:03, 12:03:10, or +SECONDS")
    replay.add_argument(
        "--speed", type=_speed, default=1.0, metavar="N", help="so many times as fast (default 1)"
    )
    replay.add_argument("--count", type=_positive, metavar="N", help="print no more than N ticks")
    _format_options(replay, None)
    _screen_options(replay)
    replay.set_defaults(run="replay")

    profile = commands.add_parser("profile", help="what runs on the CPUs: a profile, a flame graph")
    profile.add_argument(
        "--for",
        dest="seconds",
        metavar="SECONDS",
        type=_seconds,
        default=10.0,
        help="how long to watch (default 10)",
    )
    how = profile.add_mutually_exclusive_group()
    how.add_argument("--folded", action="store_true", help="stacks as flame graph tools take them")
    how.add_argument("--svg", metavar="FILE", type=_writable, help="a flame graph into that file")
    profile.set_defaults(run="profile", hooks=[HookId("profile")], drops=[], observe_only=False)
    _rung_option(profile)
    _budget_option(profile)

    export = commands.add_parser("export", help="the numbers for Prometheus, over HTTP")
    export.add_argument(
        "--listen",
        metavar="ADDR:PORT",
        type=_address,
        help="where (default 127.0.0.1:19435); there is no password: think before you open it",
    )
    export.add_argument(
        "--most",
        type=_positive,
        metavar="N",
        default=25,
        help="rows of a hook and target with labels of their own; the rest is summed (default 25)",
    )
    _interval_option(export, 5.0)
    _batch_options(export)
    export.set_defaults(run="export")

    # What `--remote` runs on the other side: not for people, so without a word in the help.
    serve = commands.add_parser("serve")
    serve.add_argument("--demo", action="store_true", help="the demo's numbers, for tests")
    serve.set_defaults(run="serve")

    demo = commands.add_parser("demo", help="the screen, from a scripted incident")
    demo.add_argument("--seed", type=int, default=0, help="another incident (default 0)")
    _screen_options(demo)
    _interval_option(demo, None)
    demo.set_defaults(run="demo")
    return parser


def _screen_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--theme", metavar="NAME", help="colours; T switches them live")
    parser.add_argument(
        "--ascii",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="for terminals without UTF-8 (or not)",
    )
    parser.add_argument(
        "--slow-link",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="send less to the terminal (or not)",
    )
    parser.add_argument(
        "--mouse",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="follow the mouse (or not: leave it alone)",
    )


def _format_options(parser: argparse.ArgumentParser, default: str | None) -> None:
    said = f"default {default}" if default else "default: the screen"
    parser.add_argument(
        "--format", choices=FORMATS, default=default, help=f"how it is printed ({said})"
    )
    parser.add_argument(
        "--json", action="store_const", const="json", dest="format", help="--format json"
    )


def _batch_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--hook",
        metavar="HOOK[@TARGET]",
        action="append",
        dest="hooks",
        type=_hook_id,
        help="this hook (repeatable; none: the safe set)",
    )
    parser.add_argument(
        "--observe-only", action="store_true", help="attach nothing in a data path, ever"
    )
    _budget_option(parser)
    _drop_option(parser)
    _rung_option(parser)


def _budget_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--budget",
        metavar="PERCENT",
        type=_budget,
        default=budget.DEFAULT,
        help="what all hooks' programs may take of one CPU, as 2%%, or off (default 5%%): "
        "beyond it the dearest hook is slowed, then detached",
    )


def _drop_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--drop",
        metavar="IFACE:RULE",
        action="append",
        default=[],
        type=_drop,
        dest="drops",
        help="drop what comes in there, as 'eth0: src 192.0.2.0/24 udp dport 53 ttl 5m' says, "
        "until then (10m where no ttl is said) or the end (repeatable)",
    )


def _rung_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rung",
        metavar="HOOK=RUNG",
        action="append",
        default=[],
        type=_pin,
        dest="rungs",
        help="pin a rung of a hook's ladder (repeatable)",
    )


def _interval_option(parser: argparse.ArgumentParser, default: float | None = 1.0) -> None:
    parser.add_argument(
        "--interval",
        metavar="SECONDS",
        type=_interval,
        default=default,  # None: as the settings say
        help=f"seconds between two readings (default {default or 1:g})",
    )


def _hook_id(text: str) -> HookId:
    if spec.is_spec(text):
        return HookId(str(_spec(text)))
    id = HookId.parse(text)
    known = Catalogue()
    hook = known.get(id.hook)
    if hook is None:
        raise argparse.ArgumentTypeError(
            f"there is no hook {id.hook!r}; known are {', '.join(known)}"
        )
    if hook.target is TargetKind.NONE and id.target is not None:
        raise argparse.ArgumentTypeError(f"the hook {id.hook} takes no target")
    if hook.target is not TargetKind.NONE and not id.target:
        raise argparse.ArgumentTypeError(f"name the {hook.target}: {id.hook}@{hook.target.upper()}")
    return id


def _spec(text: str) -> spec.Spec:
    """One of the user's own, in its one form. Whether there is such a place is asked later."""
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
    known = hooks.get(hook)
    if not equals or known is None:
        raise argparse.ArgumentTypeError(f"write HOOK=RUNG, with a hook of {', '.join(hooks)}")
    if known.rung(rung) is None:
        rungs = ", ".join(r.name for r in known.ladder)
        raise argparse.ArgumentTypeError(f"{hook} has no rung {rung!r}; it has {rungs}")
    return hook, rung


def _drop(text: str) -> tuple[str, Rule]:
    try:
        return parse_on(text)
    except RuleError as wrong:
        raise argparse.ArgumentTypeError(str(wrong)) from None


def _writable(path: str) -> TextIO:
    """Opened now: nobody should find out only after they have waited."""
    try:
        return Path(path).open("w", encoding="utf-8")
    except OSError as refused:
        wrong = f"{path} cannot be written: {refused.strerror}"
        raise argparse.ArgumentTypeError(wrong) from None


def _budget(text: str) -> float | None:
    try:
        return budget.parse(text)
    except ValueError as wrong:
        raise argparse.ArgumentTypeError(str(wrong)) from None


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= 86400 * 365:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return value


def _interval(text: str) -> float:
    value = _seconds(text)
    if not 0.1 <= value <= 3600:
        raise argparse.ArgumentTypeError("an interval is from 0.1 to 3600 seconds")
    return value


def _speed(text: str) -> float:
    value = _seconds(text)
    if not 0.1 <= value <= 60:
        raise argparse.ArgumentTypeError("a speed is from 0.1 to 60 times as fast")
    return value


def _address(text: str) -> tuple[str, int]:
    from tui.export import parse

    try:
        return parse(text)
    except ValueError as wrong:
        raise argparse.ArgumentTypeError(str(wrong)) from None


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return int(text)
