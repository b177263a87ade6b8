"""The name server takes a second and a half for each answer."""

import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.incidents import traffic
from tests.support.incidents.stage import Host, Stage
from tests.support.incidents.story import Expected, Story
from tests.support.namespaces import run

_LATE = 1.5


def play(stage: Stage) -> None:
    resolver = stage.host("resolver")
    folder = tempfile.TemporaryDirectory()
    stage.undo(folder.cleanup)
    file = Path(folder.name, "resolv.conf")
    file.write_text(f"nameserver {resolver.address}\noptions timeout:5 attempts:1\n")
    run("mount", "--bind", str(file), "/etc/resolv.conf")
    stage.undo(run, "umount", "/etc/resolv.conf")
    stage.actor("named", lambda: _answers(resolver), at="resolver")
    for _ in range(12):
        stage.actor("webapp", traffic.again(10, lambda: _look_up(stage)))


def _answers(host: Host) -> Iterator[None]:
    """Answer each question, late: that there is no such name."""
    with socket.socket(type=socket.SOCK_DGRAM) as s:
        s.bind((host.address, 53))
        s.settimeout(0.02)
        yield
        waiting: list[tuple[float, bytes, object]] = []
        while True:
            try:
                question, whose = s.recvfrom(4096)
                answer = question[:2] + b"\x81\x83" + question[4:]
                waiting.append((time.monotonic() + _LATE, answer, whose))
            except TimeoutError:
                pass
            while waiting and waiting[0][0] <= time.monotonic():
                _, answer, to = waiting.pop(0)
                s.sendto(answer, to)  # type: ignore[arg-type]


def _look_up(stage: Stage) -> None:
    begun = time.monotonic()
    try:
        socket.getaddrinfo("db.internal.example", 5432, proto=socket.IPPROTO_TCP)
    except OSError:
        if time.monotonic() - begun >= _LATE:
            stage.add()
        raise


STORY = Story(
    title="look-ups of webapp take a second and a half",
    play=play,
    tool="the processes' own count",
    happened=Stage.tally,
    expected=Expected(
        what=r"dns|name server|resolver|look.?up|db\.internal", who="webapp",
        where=r"10\.77\.1\.2|:53\b|db\.internal", share=r"\d ?%|\dx|\d ?s\b",
        belongs="webapp|eth1|poll|53",
    ),
    least=3,
)  # fmt: skip
