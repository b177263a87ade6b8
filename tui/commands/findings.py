"""`ebpftop findings`: what is wrong, how much, since when and because of whom."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from typing import TYPE_CHECKING

from probes.analysis.cases.judgement import Judgement, blind
from probes.analysis.snapshot import Trail
from tui.commands import _options
from tui.commands._run import batch, make_live, say
from tui.output.findings import finding_json, text

if TYPE_CHECKING:
    from probes.sources.live.source import Live

HELP = "say what is wrong, how much, since when and because of whom"
ORDER = 25
NOTHING, WRONG, UNKNOWN = 0, 1, 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--for",
        dest="seconds",
        metavar="SECONDS",
        type=_options.seconds,
        default=3.0,
        help="how long to watch (default 3)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    _options.hook_options(parser)


def run(arguments: argparse.Namespace) -> int:
    async def watch(live: Live) -> int:
        trails = {name: Trail(hook) for name, hook in live.catalogue.items()}
        judgement, end = Judgement(live.catalogue), time.monotonic() + arguments.seconds
        while True:
            samples = await live.read()
            snapshots = [trails[s.status.id.hook].snapshot(s) for s in samples]
            found = judgement.take(snapshots, tuple(s.status for s in samples), live.rules())
            left = end - time.monotonic()
            if left <= 0:
                break
            await asyncio.sleep(min(live.until_next(), left))
        unseen = blind(judgement.facts)
        if arguments.json:
            print(json.dumps({"findings": [finding_json(one) for one in found]}))
        elif found:
            print(text(found, time.time()))
        say(f"{s.id} is not read: {s.refused[-1].why if s.refused else s.note}" for s in unseen)
        if any(one.alarming for one in found):
            return WRONG
        return UNKNOWN if unseen else NOTHING

    return batch(make_live(arguments), watch)
