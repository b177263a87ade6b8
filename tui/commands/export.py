"""`ebpftop export`: metrics for Prometheus, over HTTP."""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING

from probes.analysis.cases.judgement import blind, passive_only
from tui.commands import _options
from tui.commands._help import WATCHED
from tui.commands._judging import LiveJudgement, until_second
from tui.commands._run import UsageError, batch, make_live, say, verdict, version
from tui.terminal import leaving

if TYPE_CHECKING:
    from probes.model import Sample
    from probes.sources.live.source import Live
    from tui.prometheus.metrics import Exported

HELP = "serve metrics for Prometheus over HTTP"
ORDER = 80
EXAMPLES = {
    "sudo ebpftop export": "http://127.0.0.1:19435/metrics",
    "sudo ebpftop export --listen 10.0.0.5:9435 --hook drops": "one hook, for that network",
}
STATUSES = WATCHED


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--listen",
        metavar="ADDR:PORT",
        type=_options.address,
        help="address (default 127.0.0.1:19435); anyone who can reach it can read the metrics",
    )
    parser.add_argument(
        "--most",
        type=_options.positive,
        metavar="N",
        default=25,
        help="rows of each hook and target with labels of their own; the others are added up "
        "(default 25)",
    )
    _options.interval_option(parser, 5.0)
    _options.hook_options(parser)


def run(arguments: argparse.Namespace) -> int:
    from tui.prometheus import server as metrics_server  # prometheus_client costs 0.1 s
    from tui.prometheus.metrics import Exported

    try:  # before anything is attached
        server = metrics_server.Server(arguments.listen or metrics_server.DEFAULT)
    except metrics_server.CannotListen as why:
        raise UsageError(str(why)) from None

    async def watch(live: Live) -> int:
        samples = await live.read()
        if status := verdict(live, arguments, samples):
            return status
        live.shed()
        leaving.renew()
        exported = Exported(live.host, live.catalogue, version(), arguments.most)
        judged = LiveJudgement(live)
        _take(live, samples, exported, judged)
        server.serve(exported)
        say(server.said())
        pause = until_second(live)
        while True:
            await asyncio.sleep(pause)
            _take(live, await live.read(), exported, judged)
            pause = live.until_next()

    with server:
        return batch(make_live(arguments), watch)


def _take(live: Live, samples: list[Sample], exported: Exported, judged: LiveJudgement) -> None:
    exported.take(samples, live.rules())
    exported.judge(
        judged.take(samples).findings, [*blind(judged.facts), *passive_only(judged.facts)]
    )
