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
from tui.commands._run import batch, make_live, verdict
from tui.output import flamegraph
from tui.output import profile as profiles
from tui.output.streams import CannotPrint

if TYPE_CHECKING:
    from probes.sources.live.source import Live

HELP = "what runs on the CPUs: a profile, a flame graph"
ORDER = 70


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
    how.add_argument("--folded", action="store_true", help="stacks as flame graph tools take them")
    how.add_argument(
        "--svg", metavar="FILE", type=_options.writable, help="a flame graph into that file"
    )
    parser.set_defaults(hooks=[HookId("profile")], drops=[], drop_anyway=False, observe_only=False)
    _options.rung_option(parser)
    _options.budget_option(parser)
    _options.memory_option(parser)


def run(arguments: argparse.Namespace) -> int:

    async def watch(live: Live) -> int:
        """Reads each second: what a stack is called is known while its process lives."""
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
                title = f"{live.host.name}: CPU, {arguments.seconds:g} s ({sample.status.rung})"
                _write(arguments.svg, flamegraph.svg(profile, title))
            else:
                print(profiles.text(profile, arguments.seconds))
        return verdict(arguments, [sample])

    return batch(make_live(arguments), watch)


def _write(path: Path, picture: str) -> None:
    """Readable for whoever may read the folder's other files. Raises CannotPrint."""
    umask = os.umask(0o077)
    os.umask(umask)
    try:
        files.replace(path, picture, mode=0o666 & ~umask)
    except OSError as refused:
        raise CannotPrint(f"{printable(str(path))} cannot be written: {refused.strerror}") from None
