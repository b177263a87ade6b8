"""Commands without a screen: one snapshot or many, as text, JSON, a file, over HTTP or a pipe."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING

from probes.funnel import remember
from probes.hits import Hits
from probes.known import Catalogue
from probes.model import Enforced, Hook, HookId, Sample, State
from probes.recording import RecordingError
from probes.rules import RuleError
from probes.snapshot import Snapshot, Trail
from probes.units import printable
from tui.formats import Shown, printer

if TYPE_CHECKING:
    from probes.live import Live  # bpf and netlink are not needed for `hooks` and `--help`

DONE, NOT_ATTACHED, USAGE = 0, 1, 2


class UsageError(Exception):
    """What was asked for cannot be meant; one sentence."""


def hooks(arguments: argparse.Namespace) -> int:
    from tui import reports

    say(Catalogue().complaints)
    print(reports.hooks_json() if arguments.json else reports.hooks_text())
    return DONE


def doctor(arguments: argparse.Namespace) -> int:
    from probes import doctor
    from tui import reports

    if arguments.programs is not None:
        return _programs(arguments)
    say(Catalogue().complaints)
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


def once(arguments: argparse.Namespace) -> int:
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


def stream(arguments: argparse.Namespace) -> int:
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


def profile(arguments: argparse.Namespace) -> int:
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


def record(arguments: argparse.Namespace) -> int:
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
        say([str(ended)])
        return NOT_ATTACHED
    finally:
        file.close()
        say([recordings.said(file)])


def export(arguments: argparse.Namespace) -> int:
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
        say(server.said())
        while True:
            await asyncio.sleep(live.until_next())
            exported.take(await live.read(), live.rules())

    with server:
        return _batch(_live(arguments), watch)


def serve(arguments: argparse.Namespace) -> int:
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
            say((*live.notices, *live.ended_rules))
            await wire.sent(writer)

    return asyncio.run(run())


# -- what they share -------------------------------------------------------------------------


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
            say((*live.notices, *live.ended_rules))

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
    say(_dropping(rule) for rule in live.rules())
    return await watch(live)


def _dropping(enforced: Enforced) -> str:
    rule = enforced.rule
    return f"dropping on {enforced.interface} ({enforced.rung}), {rule.ttl:g} s long: {rule.what}"


def say(sentences: Iterable[str], who: str = "ebpftop: ") -> None:
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
