"""The name server does not answer: each look-up takes its whole time-out."""

import socket
import tempfile
from pathlib import Path

from tests.support.incidents import counters, relay, traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story
from tests.support.namespaces import run

_SERVER = "198.51.100.53"


def play(stage: Stage) -> None:
    relay.hole(stage)
    folder = tempfile.TemporaryDirectory()
    stage.undo(folder.cleanup)
    file = Path(folder.name, "resolv.conf")
    file.write_text(f"nameserver {_SERVER}\noptions timeout:1 attempts:1\n")
    run("mount", "--bind", str(file), "/etc/resolv.conf")
    stage.undo(run, "umount", "/etc/resolv.conf")
    stage.keep["begun"] = counters.nstat("UdpOutDatagrams")
    for _ in range(12):
        stage.actor("webapp", traffic.again(10, _look_up))


def _look_up() -> None:
    socket.getaddrinfo("db.internal.example", 5432, proto=socket.IPPROTO_TCP)


STORY = Story(
    title="the name server does not answer webapp",
    play=play,
    tool="nstat UdpOutDatagrams",
    happened=lambda stage: counters.nstat("UdpOutDatagrams") - stage.keep["begun"],
    expected=Expected(
        what=r"dns|name server|resolver|look.?up|db\.internal", who="webapp",
        where=r"198\.51\.100\.53|:53\b|db\.internal", belongs="webapp|wan0|poll",
    ),
)  # fmt: skip
