"""`ebpftop demo`: the screen, playing a scripted incident."""

from __future__ import annotations

import argparse
import asyncio

from tui.commands import _options
from tui.commands._help import SHOWN
from tui.commands._screen import need_terminal, show
from tui.config import in_force

HELP = "play a scripted incident on the screen"
ORDER = 85
EXAMPLES = {
    "ebpftop demo": "an XDP program drops a third of what eth1 receives",
    "ebpftop demo --tour": "the same, with chapters that say what to see",
    "ebpftop demo --tour --speed 2": "twice as fast",
    "ebpftop demo --seed 7": "other numbers, the same ones each time",
}
STATUSES = SHOWN


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seed", type=_options.seed, default=0, help="seed of the incident (default 0)"
    )
    parser.add_argument(
        "--tour",
        action="store_true",
        help="chapters that press the keys for you and say what to see; n goes on, p goes back",
    )
    parser.add_argument(
        "--speed",
        type=_options.speed,
        default=1.0,
        help="seconds of the incident in one second (default 1); in the tour + and - change it",
    )
    _options.scope_options(parser)
    _options.screen_options(parser)
    _options.memory_option(parser)
    _options.interval_option(parser, None)


def run(arguments: argparse.Namespace) -> int:
    from probes.sources.demo.source import START, Demo, SecondAtOnce  # only where it is played
    from tui.screen.tour import BEGIN, Tour

    need_terminal("the demo has no other output")
    settled = in_force.load()
    interval = arguments.interval or settled.interval or 1.0
    tour = Tour(START + BEGIN, arguments.speed)
    demo = Demo(
        seed=arguments.seed,
        interval=interval,
        history=BEGIN if arguments.tour else 0.0,
        pace=asyncio.sleep if arguments.tour else SecondAtOnce(),
        speed=lambda: tour.speed,
    )
    return show(demo, arguments, settled, tour=tour if arguments.tour else None)
