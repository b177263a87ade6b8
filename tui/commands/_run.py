"""Shared by commands without a screen: attach, watch, detach, and the exit status."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from probes.custom.catalogue import Catalogue
from probes.drop_rule import DropRule
from probes.errors import Denied
from probes.model import Enforced, Hook, HookId, Sample, State
from probes.units import did_you_mean, no_such, printable, quoted
from tui.commands._options import scope_of
from tui.output.scope import Scope
from tui.session import own_usage
from tui.terminal import crash, leaving

if TYPE_CHECKING:
    from probes.compile.bundle import Bundle
    from probes.sources.live.source import Live  # bpf and netlink are not needed for `hooks`

DONE, NOT_ATTACHED, USAGE = 0, 1, 2


class UsageError(Exception):
    """The command line cannot be carried out; one sentence."""


def version() -> str:
    from importlib import metadata

    try:
        return metadata.version("ebpftop")
    except metadata.PackageNotFoundError:
        return "unknown"  # run from a tree that was never installed


def bundle_of(arguments: argparse.Namespace) -> Bundle | None:
    """Return the bundle that is asked for. Raises ProbeError where it may not be used."""
    if arguments.bundle is None:
        return None
    from probes.compile import bundle

    return bundle.read(arguments.bundle, ebpftop=version())


def asked(arguments: argparse.Namespace, known: Catalogue) -> list[Hook]:
    """Return the hooks requested by name, else all, in the catalogue's order. Raises Gone."""
    named = {known.find(id.hook).name for id in arguments.hooks or ()}
    return [hook for name, hook in known.items() if not named or name in named]


def here(arguments: argparse.Namespace) -> Scope:
    """Return the scope that is asked for, on this host. Raises UsageError, ProbeError.

    An alternative name of an interface becomes its name.
    """
    scope = scope_of(arguments)
    pid, name = scope.pid, scope.interface
    if pid is not None and not Path(f"/proc/{pid}").exists():
        raise UsageError(f"there is no process {pid}")
    if name is not None:
        from probes.kernel.netlink import route

        link = route.named(name)
        if link is None:
            raise UsageError(no_such("interface", name, [link.name for link in route.links()]))
        return scope._replace(interface=link.name)
    return scope


_OF_OWNERS = {
    "container": "container or pod", "unit": "unit", "netns_name": "network namespace",
}  # fmt: skip
"""What a scope asks for by name, which may also come later."""


def missing(scope: Scope) -> list[str]:
    """Return a sentence about each name in the scope that no process here has now."""
    asked = {name: str(told) for name, told in scope.asked.items() if name in _OF_OWNERS}
    if not asked:
        return []
    from probes.owners.names_here import names_here

    there = dict(zip(_OF_OWNERS, names_here(), strict=True))
    return [
        f"there is no {_OF_OWNERS[kind]} {quoted(printable(name))} now"
        + did_you_mean(name, there[kind])
        for kind, name in asked.items()
        if not scope.is_named(kind, there[kind])
    ]


def make_live(arguments: argparse.Namespace) -> Live:
    """Make the source, with nothing attached. Raises ProbeError for a rule that is refused."""
    from probes.sources.live.source import Live

    live = Live(
        interval=getattr(arguments, "interval", 1.0),
        wanted=arguments.hooks,
        pins=dict(arguments.rungs),
        drops=arguments.drops,
        observe_only=arguments.observe_only,
        percent=arguments.budget,
        bundle=bundle_of(arguments),
        limit=arguments.memory,
        used=own_usage.memory,
    )
    for interface, rule in arguments.drops:
        live.check_rule(interface)
        _be_careful(live, interface, rule, anyway=arguments.drop_anyway)
    return live


def _be_careful(live: Live, interface: str, rule: DropRule, *, anyway: bool) -> None:
    """Warn of what the rule may cut off. Raises Denied if there is no terminal to warn on."""
    cautions = live.cautions_of(interface, rule)
    if cautions.unseen and not anyway and not at_terminal():
        raise Denied(
            f"{interface}: {rule.what} is not dropped: {cautions.unseen}",
            remedy="Use --drop-anyway to drop it all the same.",
        )
    say(f"{interface}: {rule.what}: {caution}" for caution in cautions.sentences)


def at_terminal() -> bool:
    """Return whether standard input is a terminal, so that somebody reads the warnings."""
    return sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty()


def batch(live: Live, watch: Callable[[Live], Coroutine[None, None, int]]) -> int:
    """Attach what was requested, watch, and detach, also on a signal in the middle."""

    async def run() -> int:
        status = leaving.FAILED
        try:
            status = await until_signal(_attached(live, watch))
            return status
        finally:
            leaving.begin(status)
            await live.close()

    try:
        return in_order(live, run())
    finally:
        say((*live.notices, *live.ended_rules))


def in_order(live: Live, running: Coroutine[None, None, int]) -> int:
    """Run to the end. If leaving hangs, the process still ends in time."""
    with leaving.watching() as watch, leaving.calling(watch.releases, live.release):
        try:
            return asyncio.run(running)
        finally:
            if not watch.signalled:
                watch.stay()


async def until_signal(running: Coroutine[None, None, int]) -> int:
    """Return the exit status of `running`, or that of the signal that came first."""
    work, loop = asyncio.ensure_future(running), asyncio.get_running_loop()
    loop.set_exception_handler(crash.unhandled)
    came: list[int] = []

    def cancel(status: int) -> None:
        came.append(status)
        work.cancel()

    with leaving.leaving_by(lambda status: loop.call_soon_threadsafe(cancel, status)):
        try:
            return await work
        except asyncio.CancelledError:
            return came[0]


async def _attached(live: Live, watch: Callable[[Live], Coroutine[None, None, int]]) -> int:
    await live.attach_all()
    say(_dropping(rule) for rule in live.rules())
    return await watch(live)


def _dropping(enforced: Enforced) -> str:
    rule = enforced.rule
    return f"dropping on {enforced.interface} ({enforced.rung}) for {rule.ttl:g} s: {rule.what}"


def say(sentences: Iterable[str], who: str = "ebpftop: ") -> None:
    for sentence in sentences:
        print(f"{who}{printable(sentence)}", file=sys.stderr)


def verdict(live: Live, arguments: argparse.Namespace, samples: Iterable[Sample]) -> int:
    """Return 1 and say why if a hook or rung requested by name is not, or no longer, attached."""
    named = {id.hook for id in arguments.hooks or ()} | {hook for hook, _ in arguments.rungs}
    statuses = [s.status for s in samples]
    fallen = (State.FAILED, State.DETACHED)
    failed = [s for s in statuses if s.id.hook in named and s.state in fallen]
    gone = _gone(list(map(live.named, arguments.hooks or ())), [s.id for s in statuses])
    say(f"{id} is no longer attached: there is no {id.target}" for id in gone)
    for status in failed:
        if status.state is State.DETACHED:
            say([f"{status.id} is {status.state}: {status.note}"])
        for refusal in status.refused:
            remedy = f" {refusal.remedy}" if refusal.remedy else ""
            print(
                f"ebpftop: {status.id} on {refusal.rung}: {refusal.error}: {refusal.why}.{remedy}",
                file=sys.stderr,
            )
    return NOT_ATTACHED if failed or gone else DONE


def _gone(asked: Sequence[HookId], there: Sequence[HookId]) -> list[HookId]:
    """Return what was requested and is missing; a renamed target is not."""
    wanted, found = (Counter(id.hook for id in {*ids}) for ids in (asked, there))
    return [id for id in asked if id not in there and found[id.hook] < wanted[id.hook]]
