"""`ebpftop` without a command: the live monitor, of this host or of others."""

from __future__ import annotations

import argparse

from probes.errors import ProbeError
from tui.commands import _options
from tui.commands._help import SHOWN
from tui.commands._run import UsageError, bundle_of, here, say, version
from tui.commands._screen import need_terminal, show
from tui.config import in_force
from tui.session import own_usage
from tui.terminal import leaving

HELP = "the live monitor"
ORDER = 0
EXAMPLES = {
    "sudo ebpftop": "this host, with all hooks that only observe",
    "sudo ebpftop --attach xdp@eth0": "count at XDP on eth0, too",
    "ebpftop --remote ops@web1 --remote-command 'sudo ebpftop'": "another host, through ssh",
    "sudo ebpftop --bundle web1.bundle": "without bcc: `ebpftop help bundle`",
    "ebpftop demo": "a scripted incident, without privilege",
}
STATUSES = SHOWN


def add_arguments(parser: argparse.ArgumentParser) -> None:
    hooks = _options.hooks_group(parser)
    hooks.add_argument(
        "--attach",
        metavar="HOOK[@TARGET]",
        action="append",
        default=[],
        type=_options.hook_id,
        help="also attach this at start (repeatable)",
    )
    _options.rung_option(hooks)
    _options.interval_option(hooks, None)
    _options.watch_options(parser)
    _options.scope_options(parser)
    _options.screen_options(parser)
    _remote_options(parser)


def _remote_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("other hosts")
    group.add_argument(
        "--remote",
        metavar="USER@HOST",
        action="append",
        default=[],
        help="monitor that host, through the system's ssh (repeatable; H shows the next)",
    )
    group.add_argument(
        "--remote-command",
        metavar="COMMAND",
        default="ebpftop",
        help="command to run on that host, such as 'sudo ebpftop' (default: ebpftop)",
    )


def run(arguments: argparse.Namespace) -> int:
    need_terminal()
    if arguments.remote:
        return _remote(arguments)
    from probes.sources.live.source import Live

    settled, scope = in_force.load(), here(arguments)
    live = Live(
        interval=arguments.interval or settled.interval or 1.0,
        also=arguments.attach,
        pins=dict(arguments.rungs),
        drops=arguments.drops,
        observe_only=arguments.observe_only,
        percent=arguments.budget,
        bundle=bundle_of(arguments),
        limit=arguments.memory,
        used=own_usage.memory,
    )
    live.check()
    for interface, rule in arguments.drops:
        say(f"{interface}: {rule.what}: {c}" for c in live.cautions_of(interface, rule).sentences)
    try:
        with leaving.watching() as watch, leaving.calling(watch.releases, live.release):
            return show(live, arguments, settled, scope=scope)
    finally:
        say((*live.notices, *live.ended_rules))


def _remote(arguments: argparse.Namespace) -> int:
    from probes.sources.memory_keeper import MemoryKeeper
    from probes.sources.remote.source import Remote
    from probes.sources.remote.ssh import by_ssh
    from tui.commands import _offering

    try:
        command, netns = arguments.remote_command, arguments.netns
        ways = [by_ssh(to, command, netns=netns) for to in dict.fromkeys(arguments.remote)]
    except ProbeError as wrong:
        raise UsageError(wrong.why) from None
    settled = in_force.load()
    keeper = MemoryKeeper(arguments.memory, own_usage.memory)
    remotes = [
        Remote(
            way,
            interval=arguments.interval or settled.interval or 1.0,
            also=arguments.attach,
            pins=dict(arguments.rungs),
            drops=arguments.drops,
            observe_only=arguments.observe_only,
            percent=arguments.budget,
            most=arguments.memory,
            keeper=keeper,
            version=version(),
            words=lambda word: say([word], ""),
        )
        for way in ways
    ]

    async def connect() -> None:
        """Connect to one host after another, as each may ask something; tolerate some failing."""
        failed = []
        for remote, way in zip(remotes, ways, strict=True):
            try:
                await remote.connect()
                if remote.needs is not None:
                    await _offering.offer(remote, way, arguments)
                for interface, rule in arguments.drops:
                    cautions = await remote.cautions(interface, rule)
                    say(f"{remote.name}: {interface}: {rule.what}: {c}" for c in cautions)
            except ProbeError as why:
                failed.append(why)
                remote.later(why)
        if len(failed) == len(remotes):
            say(why.why for why in failed[1:])
            raise failed[0]

    try:
        return show(remotes[0], arguments, settled, *remotes[1:], connect=connect)
    finally:
        say((said for remote in remotes for said in remote.notices), "")
