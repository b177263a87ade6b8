"""`ebpftop serve`: what `--remote` runs on the remote host. Internal: not listed in the help."""

from __future__ import annotations

import argparse
import asyncio
import os
import stat

from probes.drop_rule import RuleError
from tui.commands import _options
from tui.commands._help import WATCHED
from tui.commands._run import DONE, UsageError, say, until_signal, version
from tui.session import own_usage
from tui.terminal import leaving

HELP = ""
ORDER = 90
EXAMPLES: dict[str, str] = {}
STATUSES = WATCHED


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--demo", action="store_true", help="the demo's numbers, for tests")
    _options.netns_option(parser)


def _talks(fd: int) -> bool:
    """Return whether a program may be at the other end: it is a pipe or a socket."""
    mode = os.fstat(fd).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def run(arguments: argparse.Namespace) -> int:
    if not (_talks(0) and _talks(1)):
        raise UsageError("serve is what `ebpftop --remote HOST` runs on that host")

    from probes.recording.codec import Malformed
    from probes.sources.demo.source import Demo
    from probes.sources.live.source import Live
    from probes.sources.remote import protocol, server

    async def run() -> int:
        reader, writer = await server.streams(os.dup(0), os.dup(1))
        try:
            begin = await server.begun(reader)
        except (Malformed, RuleError) as wrong:
            raise UsageError(f"cannot understand the request: {wrong}") from None
        if begin is None:
            return DONE
        live = Live(
            interval=begin.interval,
            also=begin.also,
            pins=begin.pins,
            drops=begin.drops,
            observe_only=begin.observe_only,
            percent=begin.percent,
            used=own_usage.memory,
        )
        source = Demo(interval=begin.interval) if arguments.demo else live
        served = server.Serving(
            source, reader, writer, version(), None if arguments.demo else live.needs
        )
        status = leaving.FAILED
        try:
            with leaving.watching() as watch, leaving.calling(watch.releases, live.release):
                status = await until_signal(served.run(begin.id, live.check))
            return status
        finally:
            leaving.begin(status)
            await source.close()
            say((*live.notices, *live.ended_rules))
            await protocol.sent(writer)

    with leaving.watching() as watch:
        try:
            return asyncio.run(run())
        finally:
            if not watch.signalled:
                watch.stay()
