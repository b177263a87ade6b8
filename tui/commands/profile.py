"""`ebpftop profile`: what runs on the CPUs, as text, folded stacks or a flame graph."""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from probes.model import HookId, State
from probes.recording import files
from probes.units import printable
from tui.commands import _options
from tui.commands._help import WATCHED
from tui.commands._run import UsageError, batch, make_live, verdict
from tui.output import flamegraph
from tui.output import profile as profiles
from tui.output.streams import CannotPrint

if TYPE_CHECKING:
    from probes.sources.live.source import Live

HELP = "profile what runs on the CPUs; flame graphs"
ORDER = 70
EXAMPLES = {
    "sudo ebpftop profile --for 30": "the busiest stacks, as text",
    "sudo ebpftop profile --svg cpu.svg": "a flame graph of ten seconds",
}
STATUSES = WATCHED


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--for",
        dest="seconds",
        metavar="SECONDS",
        type=_options.seconds,
        default=10.0,
        help="how long to watch (default 10)",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--folded", action="store_true", help="print folded stacks, for flame graph tools"
    )
    how.add_argument(
        "--svg", metavar="FILE", type=_options.writable, help="write a flame graph to that file"
    )
    parser.add_argument("--force", action="store_true", help="overwrite an older picture")
    parser.set_defaults(hooks=[HookId("profile")], drops=[], drop_anyway=False, observe_only=False)
    _options.rung_option(_options.hooks_group(parser))
    limits = parser.add_argument_group("limits")
    _options.budget_option(limits)
    _options.memory_option(limits)
    _options.bundle_option(parser)


def run(arguments: argparse.Namespace) -> int:
    if arguments.force and not arguments.svg:
        raise UsageError("--force applies to --svg FILE only")
    if arguments.svg:
        _check_older(arguments.svg, force=arguments.force)

    async def watch(live: Live) -> int:
        """Read every second: a stack's names can be resolved only while its process lives."""
        begin = time.monotonic()
        (sample,) = await live.read()
        while (left := arguments.seconds - (time.monotonic() - begin)) > 0:
            await asyncio.sleep(min(left, 1.0))
            (sample,) = await live.read()
        hook = live.catalogue["profile"]
        if sample.status.state is not State.FAILED:
            profile = profiles.stacks(hook, sample.rows.values())
            if arguments.folded:
                print(profiles.folded(profile), end="")
            elif arguments.svg:
                title = f"{live.host.title}: CPU, {arguments.seconds:g} s ({sample.status.rung})"
                picture = flamegraph.svg(profile, title)
                _write(arguments.svg, picture, force=arguments.force)
            else:
                print(profiles.text(profile, arguments.seconds))
        return verdict(live, arguments, [sample])

    return batch(make_live(arguments), watch)


def _check_older(path: Path, *, force: bool) -> None:
    """Refuse to overwrite a file without --force, and ever anything but a flame graph."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    except OSError as refused:
        wrong = f"{printable(str(path))} cannot be written: {refused.strerror}"
        raise UsageError(wrong) from None
    begin = os.read(fd, len(flamegraph.BEGIN))
    os.close(fd)
    if not force:
        raise UsageError(f"{printable(str(path))} is there already; --force overwrites it")
    if begin not in (b"", flamegraph.BEGIN.encode()):
        raise UsageError(f"{printable(str(path))} is not a flame graph, so it is not overwritten")


def _write(path: Path, picture: str, *, force: bool) -> None:
    """Write the picture with the permissions of an ordinary new file. Raises CannotPrint."""
    umask = os.umask(0o077)
    os.umask(umask)
    write = files.replace if force else files.write_new
    try:
        write(path, picture, mode=0o666 & ~umask)
    except OSError as refused:
        raise CannotPrint(f"{printable(str(path))} cannot be written: {refused.strerror}") from None
