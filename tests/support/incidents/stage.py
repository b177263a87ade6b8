"""The stage: hosts beside this one, settings, and actors, all of which go when it is left.

In namespaces of one's own (see `apart`), of which the end is the end of all that is here.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import signal
import struct
import subprocess
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.incidents.values import (
    CLONE_NEWNET,
    HOST_NET,
    PR_SET_NAME,
    PR_SET_PDEATHSIG,
)
from tests.support.namespaces import await_running, run

Actor = Callable[[], Iterator[None]]
"""A generator: it yields when it is ready, and then goes on until it is ended."""
_TALLIES = 8
_libc = ctypes.CDLL(None, use_errno=True)


class CannotBePlayed(Exception):
    """This host lacks what a story needs; its text says what."""


@dataclass(frozen=True, slots=True)
class Host:
    """A network namespace beside this one, and the wire to it."""

    name: str
    interface: str
    here: str
    address: str


class Stage:
    """Where a story is played."""

    def __init__(self, network: str = "10.77") -> None:
        self._network = network
        self._undo = ExitStack()
        self._hosts = 0
        self._tallies = mmap.mmap(-1, 8 * _TALLIES)
        self.keep: dict[str, float] = {}
        """What a story wants to remember until it is asked whether it happened."""

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def undo(self, what: Callable[..., object], *given: object) -> None:
        """At the end, in reverse order; what cannot be undone any more has gone already."""

        def safely() -> None:
            with suppress(OSError, AssertionError):
                what(*given)

        self._undo.callback(safely)

    # Counted by actors, for those who are to know it

    def tally(self, place: int = 0) -> int:
        return int(struct.unpack_from("=Q", self._tallies, 8 * place)[0])

    def add(self, place: int = 0) -> None:
        struct.pack_into("=Q", self._tallies, 8 * place, self.tally(place) + 1)

    # What is set up

    def host(self, name: str, interface: str = "") -> Host:
        """A host by a wire of its own: `interface` here, eth0 there."""
        self._hosts += 1
        number = self._hosts
        net = f"{self._network}.{number}"
        one = Host(name, interface or f"eth{number}", f"{net}.1", f"{net}.2")
        self.namespace(name)
        run("ip", "link", "add", one.interface, "type", "veth", "peer", "eth0", "netns", name)
        self.undo(run, "ip", "link", "del", one.interface)
        self._address(one.interface, f"{one.here}/24")
        self._address("eth0", f"{one.address}/24", "-n", name)
        await_running(one.interface)
        self._acquaint(one)
        return one

    def _acquaint(self, one: Host) -> None:
        """Let both know the other's link address: no question can be lost on the way."""
        for here, there, peer, of in (
            (("-n", one.name), (), one.here, one.interface),
            ((), ("-n", one.name), one.address, "eth0"),
        ):
            (link,) = json.loads(run("ip", *there, "-j", "link", "show", "dev", of))
            device = "eth0" if here else one.interface
            run("ip", *here, "neigh", "replace", peer, "lladdr", link["address"], "dev", device)

    def namespace(self, name: str) -> None:
        run("ip", "netns", "add", name)
        self.undo(run, "ip", "netns", "del", name)
        for scope in ("all", "default"):
            self.inside(name, "sysctl", "-qw", f"net.ipv6.conf.{scope}.disable_ipv6=1")
        run("ip", "-n", name, "link", "set", "lo", "up")

    def inside(self, name: str, *command: str) -> str:
        return run("ip", "netns", "exec", name, *command)

    def _address(self, interface: str, address: str, *where: str) -> None:
        run("ip", *where, "addr", "add", address, "dev", interface)
        run("ip", *where, "link", "set", interface, "up")

    def ip(self, *command: str, undo: str = "del") -> None:
        """`ip OBJECT add ...`, which is undone."""
        run("ip", *command)
        self.undo(run, "ip", *(undo if word in ("add", "replace") else word for word in command))

    def sysctl(self, name: str, value: object) -> None:
        """Of this network namespace."""
        file = Path("/proc/sys", name)
        before = file.read_text()
        file.write_text(str(value))
        self.undo(file.write_text, before)

    def tracks_at_most(self, entries: int) -> None:
        """Bound connection tracking, where nobody else tracks: the bound is the whole host's."""
        most, count = "net.netfilter.nf_conntrack_max", "net.netfilter.nf_conntrack_count"
        before = _of_host("sysctl", "-n", most)
        if not before or int(_of_host("sysctl", "-n", count)) > entries // 4:
            raise CannotBePlayed("connections are tracked on this host, or cannot be")
        self.undo(_of_host, "sysctl", "-qw", f"{most}={before.strip()}")
        _of_host("sysctl", "-qw", f"{most}={entries}")

    def nft(self, family: str, chain: str, *, at: str = "") -> None:
        """A table `acme` with counter `hit`, and one chain with these lines."""
        text = f"table {family} acme {{ counter hit {{}}\n chain c {{ {chain}\n }}\n }}\n"
        where = ("ip", "netns", "exec", at) if at else ()
        done = subprocess.run(
            (*where, "nft", "-f", "-"), input=text, text=True, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        self.undo(run, *where, "nft", "delete", "table", family, "acme")

    # Who acts

    def actor(self, comm: str, act: Actor, *, at: str = "", uid: int = 0) -> int:
        """A process of this name, in that host's network; returns its pid when it is ready."""
        heard, said = os.pipe()
        pid = os.fork()
        if pid == 0:
            self._become(comm, act, at, uid, said)
        os.close(said)
        self.undo(_end, pid)
        ready = os.read(heard, 1)
        os.close(heard)
        assert ready, f"{comm} could not begin"
        return pid

    def _become(self, comm: str, act: Actor, at: str, uid: int, said: int) -> None:
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            name_process(comm)
            if at:
                enter(at)
            if uid:
                os.setuid(uid)
            acting = act()
            next(acting)
            os.write(said, b".")
            next(acting, None)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)


def _of_host(*command: str) -> str:
    """Run it in the network from which the stage was set up; return what it prints."""
    held = f"/proc/self/fd/{HOST_NET}"
    done = subprocess.run(
        ("nsenter", f"--net={held}", *command), pass_fds=(HOST_NET,), text=True, check=False,
        capture_output=True,
    )  # fmt: skip
    return done.stdout


def name_process(comm: str) -> None:
    """Give this process a name of at most 15 bytes."""
    _libc.prctl(PR_SET_NAME, comm.encode())


def enter(name: str) -> None:
    """Move this thread into the network of a host beside."""
    fd = os.open(f"/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)
    if _libc.setns(fd, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
    os.close(fd)


def _end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
