"""Verdicts on what sockets of a sockhash send."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from probes.attach import program
from probes.attach.handle import Handle, by_link
from probes.attach.refusals import attach_refused
from probes.errors import ProbeError, Unsupported
from probes.kernel import bpf, capabilities
from probes.point import AttachType, Loading, Point, ProgType

_VERDICT = AttachType.SK_MSG_VERDICT


class _OnSockets(Point):
    """A program at a sockhash of the rung's C, with which it goes. map: its name."""

    __slots__ = ()

    map: str

    needs = capabilities.BPF, capabilities.NET_ADMIN
    neutral = 1  # SK_PASS

    def loading(self) -> Loading:
        return Loading(ProgType.SK_MSG, _VERDICT)

    def check(self, ifindex: int) -> None:
        """Try it with an empty sockhash of our own, which has nobody's socket in it."""
        with ExitStack() as stack:
            fd = program.load(self, bpf.exit_with(self.neutral), "probe")
            stack.callback(os.close, fd)
            try:
                sockets = bpf.map_create(bpf.SOCKHASH, 4, 4, 1)
            except OSError as refused:
                raise attach_refused(refused.errno or 0, "sockhash", self) from None
            stack.callback(os.close, sockets)
            self.attach(fd, 0, {self.map: sockets})()

    def rehearse(self, prog_fd: int, ifindex: int) -> str:
        return ""  # `check` did


@dataclass(frozen=True, slots=True)
class SkMsgLink(_OnSockets):
    """A verdict on what sockets in a sockhash of the rung's C send, by a bpf_link. Linux 6.12."""

    map: str

    def attach(self, prog_fd: int, ifindex: int, maps: Mapping[str, int]) -> Handle:
        sockets = maps[self.map]
        return by_link(
            lambda: bpf.link_create(prog_fd, sockets, _VERDICT), self, "link to a sockhash"
        )

    def explain(self, code: int, what: str, ifindex: int) -> ProbeError | None:
        if code != errno.EINVAL:
            return None
        why = "this kernel has no links to sockhashes (Linux 6.12)"
        return Unsupported(why, errno=code)


@dataclass(frozen=True, slots=True)
class SkMsgAttach(_OnSockets):
    """A verdict on what sockets in a sockhash send, attached to the map itself. Linux 4.18.

    It is detached when the map goes.
    """

    map: str

    def attach(self, prog_fd: int, ifindex: int, maps: Mapping[str, int]) -> Handle:
        sockets = maps[self.map]
        try:
            bpf.prog_attach(prog_fd, sockets, _VERDICT)
        except OSError as refused:
            raise attach_refused(refused.errno or 0, "sockhash", self) from None
        return Handle(lambda: bpf.prog_detach(prog_fd, sockets, _VERDICT))
