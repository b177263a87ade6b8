"""The command line: arguments -> a source -> the screen, text or JSON. Knows both sides.

Exit status: 0 done; 1 a hook asked for by name stood on no rung; 2 usage; 130 and 143 after
SIGINT and SIGTERM, everything detached.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from probes import budget, spec
from probes.errors import ProbeError
from probes.funnel import remember
from probes.hits import Hits
from probes.known import Catalogue
from probes.model import Enforced, Hook, HookId, Sample, Source, State, TargetKind
from probes.recording import RecordingError
from probes.rules import Rule, RuleError, parse_on
from probes.snapshot import Snapshot, Trail
from probes.units import printable
from tui import settings
from tui.formats import FORMATS, Shown, printer

if TYPE_CHECKING:
    from probes.live import Live  # bpf and netlink are not needed for `demo` and `--help`

DONE, NOT_ATTACHED, USAGE = 0, 1, 2


class UsageError(Exception):
    """What was asked for cannot be meant; one sentence."""


def main(argv: Sequence[str] | None = None) -> int:
    """The entry point `ebpftop`. Returns the exit status."""
    arguments = _parser().parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A process may be called anything: what the terminal's encoding lacks is no error.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        if arguments.remote and arguments.run is not _monitor:
            raise UsageError("--remote shows the screen; for the rest: ssh USER@HOST ebpftop ...")
        status = int(arguments.run(arguments))
        sys.stdout.flush()  # here, where a closed pipe is understood
        return status
    except (UsageError, RecordingError) as wrong:
        print(f"ebpftop: {wrong}", file=sys.stderr)
        return USAGE
    except ProbeError as refused:
        remedy = f" {refused.remedy}" if refused.remedy else ""
        print(f"ebpftop: {refused.why}.{remedy}", file=sys.stderr)
        return NOT_ATTACHED
    except BrokenPipeError:
        # Whoever read us (head, jq) has seen enough: not an error of anybody's.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ebpftop",
        description="top(1) for the kernel's eBPF hooks",
        epilog="Without a command: the live monitor. Press ? there for its keys.",
    )
    parser.set_defaults(run=_monitor)
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
    doctor.set_defaults(run=_doctor)

    hooks = commands.add_parser("hooks", help="the catalogue of hooks")
    hooks.add_argument("--json", action="store_true")
    hooks.set_defaults(run=_hooks)

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
    once.set_defaults(run=_once)

    stream = commands.add_parser("stream", help="the same at each tick, as JSON lines")
    stream.add_argument("--count", type=_positive, metavar="N", help="end after N ticks")
    _format_options(stream, "json")
    _interval_option(stream)
    _batch_options(stream)
    stream.set_defaults(run=_stream)

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
    record.set_defaults(run=_record)

    replay = commands.add_parser("replay", help="the screen, from a recording; or print it")
    replay.add_argument("file", metavar="FILE", type=Path)
    replay.add_argument("--at", metavar="TIME", help="begin there: 12:03, 12:03:10, or +SECONDS")
    replay.add_argument(
        "--speed", type=_speed, default=1.0, metavar="N", help="so many times as fast (default 1)"
    )
    replay.add_argument("--count", type=_positive, metavar="N", help="print no more than N ticks")
    _format_options(replay, None)
    _screen_options(replay)
    replay.set_defaults(run=_replay)

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
    profile.set_defaults(run=_profile, hooks=[HookId("profile")], drops=[], observe_only=False)
    _rung_option(profile)

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
    export.set_defaults(run=_export)

    # What `--remote` runs on the other side: not for people, so without a word in the help.
    serve = commands.add_parser("serve")
    serve.add_argument("--demo", action="store_true", help="the demo's numbers, for tests")
    serve.set_defaults(run=_serve)

    demo = commands.add_parser("demo", help="the screen, from a scripted incident")
    demo.add_argument("--seed", type=int, default=0, help="another incident (default 0)")
    _screen_options(demo)
    _interval_option(demo, None)
    demo.set_defaults(run=_demo)
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


# -- the screen ------------------------------------------------------------------------------


def _monitor(arguments: argparse.Namespace) -> int:
    _need_terminal()
    if arguments.remote:
        return _remote(arguments)
    from probes.live import Live

    settled = settings.load(settings.path())
    live = Live(
        interval=arguments.interval or settled.interval or 1.0,
        also=arguments.attach,
        pins=dict(arguments.rungs),
        drops=arguments.drops,
        observe_only=arguments.observe_only,
        percent=arguments.budget,
    )
    live.check()
    try:
        return _screen(live, arguments, settled)
    finally:
        _say((*live.notices, *live.ended_rules))


def _remote(arguments: argparse.Namespace) -> int:
    from probes.dialling import by_ssh
    from probes.remote import Remote

    try:
        ways = [by_ssh(to, arguments.remote_command) for to in dict.fromkeys(arguments.remote)]
    except ProbeError as wrong:
        raise UsageError(wrong.why) from None
    settled = settings.load(settings.path())
    remotes = [
        Remote(
            way,
            interval=arguments.interval or settled.interval or 1.0,
            also=arguments.attach,
            pins=dict(arguments.rungs),
            drops=arguments.drops,
            observe_only=arguments.observe_only,
            percent=arguments.budget,
            words=lambda word: _say([word], ""),
        )
        for way in ways
    ]

    async def connect() -> None:
        """One after the other, as each may ask something. Of several, some may be away."""
        failed = []
        for remote in remotes:
            try:
                await remote.connect()
            except ProbeError as why:
                failed.append(why)
                remote.later(why)
        if len(failed) == len(remotes):
            _say(why.why for why in failed[1:])
            raise failed[0]

    try:
        return _screen(remotes[0], arguments, settled, *remotes[1:], connect=connect)
    finally:
        _say((said for remote in remotes for said in remote.notices), "")


def _demo(arguments: argparse.Namespace) -> int:
    _need_terminal()
    from probes.demo import Demo

    settled = settings.load(settings.path())
    interval = arguments.interval or settled.interval or 1.0
    return _screen(Demo(seed=arguments.seed, interval=interval), arguments, settled)


def _screen(
    source: Source,
    arguments: argparse.Namespace,
    settled: settings.Settings,
    *others: Source,
    connect: Callable[[], Awaitable[None]] | None = None,
) -> int:
    from tui import app, theme  # Textual costs 0.2 s: nothing but the screen imports it

    try:
        return app.run(
            source,
            *others,
            connect=connect,
            theme=arguments.theme,
            ascii=arguments.ascii,
            slow_link=arguments.slow_link,
            mouse=arguments.mouse,
            settled=settled,
        )
    except theme.ThemeError as wrong:
        raise UsageError(str(wrong)) from None


def _need_terminal(instead: str = "`ebpftop once` or `stream` print instead") -> None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(f"the screen needs a terminal; {instead}")


# -- batch -----------------------------------------------------------------------------------


def _hooks(arguments: argparse.Namespace) -> int:
    from tui import reports

    _say(Catalogue().complaints)
    print(reports.hooks_json() if arguments.json else reports.hooks_text())
    return DONE


def _doctor(arguments: argparse.Namespace) -> int:
    from probes import doctor
    from tui import reports

    if arguments.programs is not None:
        return _programs(arguments)
    _say(Catalogue().complaints)
    findings = reports.examine(arguments.hooks or ())
    report = reports.doctor_json if arguments.json else reports.doctor_text
    print(report(doctor.facts(), findings))
    return DONE


def _programs(arguments: argparse.Namespace) -> int:
    from probes import progtypes
    from tui import reports

    if arguments.hooks:
        raise UsageError("--hook and --programs ask for different things: leave one out")
    for name in arguments.programs:
        if name not in progtypes.NAMES:
            known = ", ".join(progtypes.NAMES)
            raise UsageError(
                f"there is no program type {printable(name)!r} here; known are {known}"
            )
    report = reports.programs_json if arguments.json else reports.programs_text
    print(report(progtypes.examine(tuple(arguments.programs))))
    return DONE


def _once(arguments: argparse.Namespace) -> int:
    async def watch(live: Live) -> int:
        before, hits = await live.read(), Hits()
        hits.take(live.rules())
        await asyncio.sleep(arguments.seconds)
        after = await live.read()
        # Whatever came to be during the run has no sample before: its rates are not known.
        first = {s.status.id: s for s in before}
        snapshots = [
            Snapshot.between(live.catalogue[s.status.id.hook], first.get(s.status.id), s)
            for s in after
        ]
        since: dict[HookId, Sample] = {}
        remember(since, before)
        remember(since, after)
        shown = Shown(live.host, time.time(), arguments.seconds, snapshots, live.rules(), since)
        asked = _asked(arguments, live.catalogue)
        show = printer(arguments.format, asked, several=False, hits=hits)
        print(show(shown))
        return _verdict(arguments, after)

    return _batch(_live(arguments), watch)


def _stream(arguments: argparse.Namespace) -> int:
    async def watch(live: Live) -> int:
        trails = {name: Trail(hook) for name, hook in live.catalogue.items()}
        since: dict[HookId, Sample] = {}
        asked = _asked(arguments, live.catalogue)
        show = printer(arguments.format, asked, several=arguments.count != 1, hits=Hits())
        left = arguments.count
        while left is None or left > 0:
            samples = await live.read()
            snapshots = [trails[s.status.id.hook].snapshot(s) for s in samples]
            remember(since, samples)
            wall, rules = time.time(), live.rules()
            shown = Shown(live.host, wall, live.interval, snapshots, rules, since)
            print(show(shown), flush=True)
            left = None if left is None else left - 1
            if left != 0:
                await asyncio.sleep(live.until_next())
        return _verdict(arguments, samples)

    return _batch(_live(arguments), watch)


def _profile(arguments: argparse.Namespace) -> int:
    from tui import flamegraph, profiling

    async def watch(live: Live) -> int:
        """Reads each second: what a stack is called is known while its process lives."""
        begin = time.monotonic()
        (sample,) = await live.read()
        while (left := arguments.seconds - (time.monotonic() - begin)) > 0:
            await asyncio.sleep(min(left, 1.0))
            (sample,) = await live.read()
        hook = live.catalogue["profile"]
        if sample.status.state is not State.FAILED:
            profile = profiling.stacks(hook, sample.rows.values())
            if arguments.folded:
                print(profiling.folded(profile), end="")
            elif arguments.svg:
                title = f"{live.host.name}: CPU, {arguments.seconds:g} s ({sample.status.rung})"
                with arguments.svg as file:
                    file.write(flamegraph.svg(profile, title))
            else:
                print(profiling.text(profile, arguments.seconds))
        return _verdict(arguments, [sample])

    return _batch(_live(arguments), watch)


def _record(arguments: argparse.Namespace) -> int:
    from probes.recording import RecordingFile
    from tui import recordings

    live = _live(arguments)
    hooks = [hook.name for hook in _asked(arguments, live.catalogue)]
    file = RecordingFile(arguments.file, live.host, hooks, force=arguments.force)

    async def watch(live: Live) -> int:
        return _verdict(arguments, await recordings.record(live, file, arguments.seconds))

    try:
        return _batch(live, watch)
    except RecordingError as ended:
        _say([str(ended)])
        return NOT_ATTACHED
    finally:
        file.close()
        _say([recordings.said(file)])


def _replay(arguments: argparse.Namespace) -> int:
    from tui import recordings
    from tui.times import TimeError

    try:
        if arguments.format is not None:
            recordings.print_moments(
                arguments.file, arguments.format, arguments.at, arguments.count
            )
            return DONE
        _need_terminal("`ebpftop replay FILE --format table` prints instead")
        player = recordings.replay(arguments.file, arguments.at, arguments.speed)
        return _screen(player, arguments, settings.load(settings.path()))
    except TimeError as wrong:
        raise UsageError(str(wrong)) from None


def _export(arguments: argparse.Namespace) -> int:
    from tui import export
    from tui.metrics import Exported

    try:  # before anything is attached
        server = export.Server(arguments.listen or export.DEFAULT)
    except export.CannotListen as why:
        raise UsageError(str(why)) from None

    async def watch(live: Live) -> int:
        samples = await live.read()
        if status := _verdict(arguments, samples):
            return status
        live.shed()
        if arguments.hooks is None:
            live.follow()
        exported = Exported(live.host, live.catalogue, _version(), arguments.most)
        exported.take(samples, live.rules())
        server.serve(exported)
        _say(server.said())
        while True:
            await asyncio.sleep(live.until_next())
            exported.take(await live.read(), live.rules())

    with server:
        return _batch(_live(arguments), watch)


def _serve(arguments: argparse.Namespace) -> int:
    if sys.stdin.isatty() or sys.stdout.isatty():
        raise UsageError("serve is what `ebpftop --remote HOST` runs on that host")
    from probes import serving, wire
    from probes.cells import Malformed
    from probes.demo import Demo
    from probes.live import Live

    async def run() -> int:
        reader, writer = await serving.streams(os.dup(0), os.dup(1))
        try:
            begin = await serving.begun(reader)
        except (Malformed, RuleError) as wrong:
            raise UsageError(f"what was asked for was not understood: {wrong}") from None
        if begin is None:
            return DONE
        live = Live(
            interval=begin.interval,
            also=begin.also,
            pins=begin.pins,
            drops=begin.drops,
            observe_only=begin.observe_only,
            percent=begin.percent,
        )
        source = Demo(interval=begin.interval) if arguments.demo else live
        served = serving.Serving(source, reader, writer, _version())
        try:
            return await _until_signal(served.run(begin.id, live.check))
        finally:
            await source.close()
            _say((*live.notices, *live.ended_rules))
            await wire.sent(writer)

    return asyncio.run(run())


def _version() -> str:
    from importlib import metadata

    try:
        return metadata.version("ebpftop")
    except metadata.PackageNotFoundError:
        return "unknown"  # run from a tree that was never installed


def _asked(arguments: argparse.Namespace, known: Catalogue) -> list[Hook]:
    """The hooks that were asked for by name, else all, in the catalogue's order. Raises Gone."""
    named = {known.find(id.hook).name for id in arguments.hooks or ()}
    return [hook for name, hook in known.items() if not named or name in named]


def _live(arguments: argparse.Namespace) -> Live:
    """The source, nothing attached yet. Raises ProbeError for a rule that may not be."""
    from probes.live import Live

    live = Live(
        interval=getattr(arguments, "interval", 1.0),
        wanted=arguments.hooks,
        pins=dict(arguments.rungs),
        drops=arguments.drops,
        observe_only=arguments.observe_only,
        percent=arguments.budget,
    )
    for interface, _ in arguments.drops:
        live.check_rule(interface)
    return live


def _batch(live: Live, watch: Callable[[Live], Coroutine[None, None, int]]) -> int:
    """Attaches what was asked for, watches, detaches; also when a signal comes in the middle."""

    async def run() -> int:
        try:
            return await _until_signal(_attached(live, watch))
        finally:
            await live.close()
            _say((*live.notices, *live.ended_rules))

    return asyncio.run(run())


async def _until_signal(running: Coroutine[None, None, int]) -> int:
    """Its exit status, or that of the signal that came first."""
    work = asyncio.ensure_future(running)
    came: list[int] = []

    def leave(number: int) -> None:
        came.append(number)
        work.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, leave, number)
    try:
        return await work
    except asyncio.CancelledError:
        return 128 + came[0]


async def _attached(live: Live, watch: Callable[[Live], Coroutine[None, None, int]]) -> int:
    await live.attach_all()
    _say(_dropping(rule) for rule in live.rules())
    return await watch(live)


def _dropping(enforced: Enforced) -> str:
    rule = enforced.rule
    return f"dropping on {enforced.interface} ({enforced.rung}), {rule.ttl:g} s long: {rule.what}"


def _say(sentences: Iterable[str], who: str = "ebpftop: ") -> None:
    for sentence in sentences:
        print(f"{who}{printable(sentence)}", file=sys.stderr)


def _verdict(arguments: argparse.Namespace, samples: Iterable[Sample]) -> int:
    """1 when a hook or a rung that was asked for by name did not stand; says what refused it."""
    named = {id.hook for id in arguments.hooks or ()} | {hook for hook, _ in arguments.rungs}
    statuses = [s.status for s in samples]
    failed = [s for s in statuses if s.id.hook in named and s.state is State.FAILED]
    for status in failed:
        for refusal in status.refused:
            remedy = f" {refusal.remedy}" if refusal.remedy else ""
            print(
                f"ebpftop: {status.id} on {refusal.rung}: {refusal.error}: {refusal.why}.{remedy}",
                file=sys.stderr,
            )
    return NOT_ATTACHED if failed else DONE


if __name__ == "__main__":
    sys.exit(main())
