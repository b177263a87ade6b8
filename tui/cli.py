"""The command line: arguments -> a source -> the screen, text or JSON. Knows both sides.

Exit status: 0 done; 1 a hook asked for by name stood on no rung; 2 usage; 130 and 143 after
SIGINT and SIGTERM, everything detached.
"""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence

from probes.errors import ProbeError
from probes.model import Source
from probes.recording import RecordingError
from tui import batch, settings
from tui.arguments import parser
from tui.batch import DONE, NOT_ATTACHED, USAGE, UsageError, say


def main(argv: Sequence[str] | None = None) -> int:
    """The entry point `ebpftop`. Returns the exit status."""
    arguments = parser().parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A process may be called anything: what the terminal's encoding lacks is no error.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        if arguments.remote and arguments.run != "monitor":
            raise UsageError("--remote shows the screen; for the rest: ssh USER@HOST ebpftop ...")
        status = _COMMANDS[arguments.run](arguments)
        sys.stdout.flush()  # here, where a closed pipe is understood
        return status
    except (UsageError, RecordingError) as wrong:
        print(f"ebpftop: {wrong}", file=sys.stderr)
        return USAGE
    except ProbeError as refused:
        remedy = f" {refused.remedy}" if refused.remedy else ""
        print(f"ebpftop: {refused.why}.{remedy}", file=sys.stderr)
        return NOT_ATTACHED
    except BrokenPipeError:
        # Whoever read us (head, jq) has seen enough: not an error of anybody's.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


# -- the screen ------------------------------------------------------------------------------


def _monitor(arguments: argparse.Namespace) -> int:
    _need_terminal()
    if arguments.remote:
        return _remote(arguments)
    from probes.live import Live

    settled = settings.load(settings.path())
    live = Live(
        interval=arguments.interval or settled.interval or 1.0,
        also=arguments.attach,
        pins=dict(arguments.rungs),
        drops=arguments.drops,
        observe_only=arguments.observe_only,
        percent=arguments.budget,
    )
    live.check()
    try:
        return _screen(live, arguments, settled)
    finally:
        say((*live.notices, *live.ended_rules))


def _remote(arguments: argparse.Namespace) -> int:
    from probes.dialling import by_ssh
    from probes.remote import Remote

    try:
        ways = [by_ssh(to, arguments.remote_command) for to in dict.fromkeys(arguments.remote)]
    except ProbeError as wrong:
        raise UsageError(wrong.why) from None
    settled = settings.load(settings.path())
    remotes = [
        Remote(
            way,
            interval=arguments.interval or settled.interval or 1.0,
            also=arguments.attach,
            pins=dict(arguments.rungs),
            drops=arguments.drops,
            observe_only=arguments.observe_only,
            percent=arguments.budget,
            words=lambda word: say([word], ""),
        )
        for way in ways
    ]

    async def connect() -> None:
        """One after the other, as each may ask something. Of several, some may be away."""
        failed = []
        for remote in remotes:
            try:
                await remote.connect()
            except ProbeError as why:
                failed.append(why)
                remote.later(why)
        if len(failed) == len(remotes):
            say(why.why for why in failed[1:])
            raise failed[0]

    try:
        return _screen(remotes[0], arguments, settled, *remotes[1:], connect=connect)
    finally:
        say((said for remote in remotes for said in remote.notices), "")


def _demo(arguments: argparse.Namespace) -> int:
    _need_terminal()
    from probes.demo import Demo

    settled = settings.load(settings.path())
    interval = arguments.interval or settled.interval or 1.0
    return _screen(Demo(seed=arguments.seed, interval=interval), arguments, settled)


def _replay(arguments: argparse.Namespace) -> int:
    from tui import recordings
    from tui.times import TimeError

    try:
        if arguments.format is not None:
            recordings.print_moments(
                arguments.file, arguments.format, arguments.at, arguments.count
            )
            return DONE
        _need_terminal("`ebpftop replay FILE --format table` prints instead")
        player = recordings.replay(arguments.file, arguments.at, arguments.speed)
        return _screen(player, arguments, settings.load(settings.path()))
    except TimeError as wrong:
        raise UsageError(str(wrong)) from None


def _screen(
    source: Source,
    arguments: argparse.Namespace,
    settled: settings.Settings,
    *others: Source,
    connect: Callable[[], Awaitable[None]] | None = None,
) -> int:
    from tui import app, theme  # Textual costs 0.2 s: nothing but the screen imports it

    try:
        return app.run(
            source,
            *others,
            connect=connect,
            theme=arguments.theme,
            ascii=arguments.ascii,
            slow_link=arguments.slow_link,
            mouse=arguments.mouse,
            settled=settled,
        )
    except theme.ThemeError as wrong:
        raise UsageError(str(wrong)) from None


def _need_terminal(instead: str = "`ebpftop once` or `stream` print instead") -> None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(f"the screen needs a terminal; {instead}")


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "monitor": _monitor,
    "demo": _demo,
    "replay": _replay,
    "hooks": batch.hooks,
    "doctor": batch.doctor,
    "once": batch.once,
    "stream": batch.stream,
    "profile": batch.profile,
    "record": batch.record,
    "export": batch.export,
    "serve": batch.serve,
}

if __name__ == "__main__":
    sys.exit(main())
