"""Hundreds of connections on which hardly anything is said."""

import select
import socket
from collections.abc import Iterator

from tests.support.incidents import counters, traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Story


def play(stage: Stage) -> None:
    users = stage.host("users")
    stage.actor("chatd", traffic.serves(5222))

    def act() -> Iterator[None]:
        held = [socket.create_connection((users.here, 5222)) for _ in range(300)]
        yield
        for n, _ in enumerate(traffic.pace(10)):
            held[n % len(held)].sendall(b"ping")
            for s in select.select(held, [], [], 0)[0]:
                s.recv(4096)

    stage.actor("phones", act, at="users")


STORY = Story(
    title="300 connections that are mostly silent",
    play=play,
    tool="ss state established",
    happened=lambda _: counters.sockets("state", "established"),
    least=300,
)
