"""`ebpftop stream`: print a snapshot at each tick, as JSON lines."""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import TYPE_CHECKING

from probes.analysis.funnel import remember
from probes.analysis.hit_rates import Hits
from probes.model import HookId, Sample
from tui.commands import _options
from tui.commands._help import WATCHED
from tui.commands._judging import LiveJudgement, until_second
from tui.commands._run import asked, batch, here, make_live, missing, say, verdict
from tui.output import colour
from tui.output.formats import PrintedMoment, printer

if TYPE_CHECKING:
    from probes.sources.live.source import Live

HELP = "print a snapshot at each tick, as JSON lines or CSV"
ORDER = 40
EXAMPLES = {
    "sudo ebpftop stream --hook drops -d 5": "a line of JSON every five seconds",
    "sudo ebpftop stream --hook tcp-connect --format csv -n 60": "a minute of CSV",
    "sudo ebpftop stream --hook opens | jq -c '.hooks[].log[]'": "every file that is opened",
}
STATUSES = WATCHED


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-n", "--count", type=_options.positive, metavar="N", help="end after N ticks"
    )
    _options.format_options(parser, "json")
    _options.interval_option(parser)
    _options.scope_options(parser)
    _options.hook_options(parser)


def run(arguments: argparse.Namespace) -> int:
    scope = here(arguments)
    say(missing(scope))

    async def watch(live: Live) -> int:
        since: dict[HookId, Sample] = {}
        judged = LiveJudgement(live)
        hooks = [hook for hook in asked(arguments, live.catalogue) if scope.tells(hook)]
        show = printer(arguments.format, hooks, several=arguments.count != 1, hits=Hits())
        left, first = arguments.count, True
        while left is None or left > 0:
            samples = await live.read()
            wrong = judged.take(samples).within(scope)
            remember(since, samples)
            wall, rules = max((s.wall for s in samples), default=time.time()), live.rules()
            shown = PrintedMoment(
                live.host, wall, live.interval, judged.there, rules, since, wrong, scope
            )
            print(colour.painted(show(shown), arguments.color), flush=True)
            left = None if left is None else left - 1
            if left != 0:
                await asyncio.sleep(until_second(live) if first else live.until_next())
                first = False
        return verdict(live, arguments, samples)

    return batch(make_live(arguments), watch)
