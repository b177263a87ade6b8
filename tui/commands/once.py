"""`ebpftop once`: attach, watch, print one snapshot, detach."""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import TYPE_CHECKING

from probes.analysis.funnel import remember
from probes.analysis.hit_rates import Hits
from probes.analysis.snapshot import Snapshot
from probes.model import Hook, HookId, Sample
from tui.commands import _options
from tui.commands._help import WATCHED
from tui.commands._judging import found, judging
from tui.commands._run import asked, batch, here, make_live, missing, say, verdict
from tui.output import colour
from tui.output.formats import PrintedMoment, printer

if TYPE_CHECKING:
    from probes.sources.live.source import Live

HELP = "attach, watch, print one snapshot, detach"
ORDER = 30
EXAMPLES = {
    "sudo ebpftop once": "every hook that only observes, for a second",
    "sudo ebpftop once --for 10 --hook drops": "why the kernel frees packets",
    "sudo ebpftop once --json | jq .findings": "what is wrong, as JSON",
}
STATUSES = WATCHED


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--for",
        dest="seconds",
        metavar="SECONDS",
        type=_options.seconds,
        default=1.0,
        help="how long to watch (default 1)",
    )
    _options.format_options(parser, "table")
    _options.scope_options(parser)
    _options.hook_options(parser)


def run(arguments: argparse.Namespace) -> int:
    scope = here(arguments)
    say(missing(scope))

    async def watch(live: Live) -> int:
        before, hits = await live.read(), Hits()
        hits.take(live.rules())
        judgement = judging(live.catalogue)
        began = [Snapshot.between(_hook(live, s), None, s) for s in before]
        found(judgement, began, live.rules())
        await asyncio.sleep(arguments.seconds)
        after = await live.read()
        # What appeared during the run has no earlier sample: its rates are unknown.
        first = {s.status.id: s for s in before}
        snapshots = [Snapshot.between(_hook(live, s), first.get(s.status.id), s) for s in after]
        since: dict[HookId, Sample] = {}
        remember(since, before)
        remember(since, after)
        wall = max((s.wall for s in after), default=time.time())
        wrong = found(judgement, snapshots, live.rules()).within(scope)
        shown = PrintedMoment(
            live.host, wall, arguments.seconds, snapshots, live.rules(), since, wrong, scope
        )
        hooks = [hook for hook in asked(arguments, live.catalogue) if scope.tells(hook)]
        show = printer(arguments.format, hooks, several=False, hits=hits)
        print(colour.painted(show(shown), arguments.color))
        return verdict(live, arguments, after)

    return batch(make_live(arguments), watch)


def _hook(live: Live, sample: Sample) -> Hook:
    return live.catalogue[sample.status.id.hook]
