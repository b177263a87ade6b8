"""Netlink requests over a raw socket, decoded while they arrive.

A dump costs a fraction of what a general netlink library takes, and a change no more than one file
descriptor.

A socket belongs to the network namespace of the thread that opened it, and is opened per dump.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager, suppress
from errno import (
    EACCES,
    EBUSY,
    EEXIST,
    EINVAL,
    ENOBUFS,
    ENODEV,
    ENOENT,
    EOPNOTSUPP,
    EPERM,
    ERANGE,
)
from struct import Struct
from typing import TypeVar

from probes.errors import Busy, Denied, Gone, ProbeError, Unsupported, remedy
from probes.kernel import capabilities

T = TypeVar("T")
Decode = Callable[[bytes, int, int], T | None]
"""Decoder of a buffer's payload between two offsets; None leaves the message out."""

ROUTE = 0  # NETLINK_ROUTE
SOCK_DIAG = 4  # NETLINK_SOCK_DIAG
XFRM = 6  # NETLINK_XFRM

_HEADER = Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, port
HEADER_SIZE = _HEADER.size
_ATTRIBUTE = Struct("=HH")  # struct nlattr: length, type
_ERRNO = Struct("=i")
_NLMSG_ERROR, NLMSG_DONE = 2, 3
DONE_SIZE = HEADER_SIZE + 4
"""Bytes of NLMSG_DONE with the errno in it."""
_F_REQUEST, _F_ACK, _F_DUMP = 0x1, 0x4, 0x300
F_DUMP_INTR, _F_CAPPED, _F_ACK_TLVS = 0x10, 0x100, 0x200
LITTLE = sys.byteorder == "little"
_TYPE_MASK = 0x3FFF  # without NLA_F_NESTED and NLA_F_NET_BYTEORDER
_SOL_NETLINK, _NETLINK_CAP_ACK, _NETLINK_EXT_ACK = 270, 10, 11
_ERRMSG_TEXT = 1  # NLMSGERR_ATTR_MSG
# The kernel fills at most 32 kB for one recv (netlink_dump); a larger message comes alone.
_BUFFER = 65536
_TRIES = 10

_KINDS: dict[int, type[ProbeError]] = {
    EPERM: Denied,
    EACCES: Denied,
    EBUSY: Busy,
    EEXIST: Busy,
    ENODEV: Gone,
    ENOENT: Unsupported,
    EINVAL: Unsupported,
    EOPNOTSUPP: Unsupported,
    ERANGE: Unsupported,
}


class _ChangedMeanwhile(Exception):
    """NLM_F_DUMP_INTR: the list changed during the dump, which may lack or repeat entries."""


def dump(protocol: int, kind: int, body: bytes, decode: Decode[T]) -> list[T]:
    """Return everything from a NLM_F_DUMP request of this kind (nlmsg_type) with this body.

    The dump is repeated when the list changed meanwhile, so that nothing is missing or there twice;
    where it keeps changing, the last dump has to do, which may lack or repeat what was changing.
    Raises ProbeError with the kernel's errno. Linux 2.6; needs no privilege.
    """
    with _socket(protocol) as s:
        for _ in range(_TRIES):
            found: list[T] = []
            try:
                found.extend(_replies(s, kind, _F_DUMP, body, decode))
            except _ChangedMeanwhile:
                continue
            break
    return found


def dumped(protocol: int, kind: int, body: bytes) -> bytes:
    """Return the messages of such a dump as they came, one after the other, with that of its end.

    Raises ProbeError where it cannot be begun; the end may tell of an error.
    """
    with _socket(protocol) as s:
        _send(s, kind, _F_DUMP, body)
        parts = [_received(s)]
        while not _is_last(parts[-1]):
            parts.append(_received(s))
    return b"".join(parts)


def _is_last(data: bytes) -> bool:
    """Return whether a part of a dump has its end: alone, or as its last message."""
    at = max(0, len(data) - DONE_SIZE)
    last = at > 0 and _HEADER.unpack_from(data, at)[:2] == (DONE_SIZE, NLMSG_DONE)
    return last or len(data) < HEADER_SIZE or data_type(data) in (_NLMSG_ERROR, NLMSG_DONE)


def data_type(data: bytes) -> int:
    """Return the type of the first message."""
    kind: int = _HEADER.unpack_from(data)[1]
    return kind


def get(protocol: int, kind: int, body: bytes, decode: Decode[T]) -> T | None:
    """Return the one object that this body asks for, or None. Raises ProbeError."""
    with _socket(protocol) as s:
        try:
            return next(_replies(s, kind, 0, body, decode), None)
        except Gone:
            return None


MOST_AT_ONCE = 64
"""Requests of one `each`: so many answers fit into a socket's queue, however small it is set."""


def each(protocol: int, kind: int, bodies: Sequence[bytes], decode: Decode[T]) -> list[T | None]:
    """Return the object that each body asks for; None where there is none. Raises ProbeError."""
    found: list[T | None] = []
    with _socket(protocol) as s:
        while asked := bodies[len(found) :][:MOST_AT_ONCE]:
            found += _answers(s, kind, asked, decode)
    return found


def _answers(
    s: socket.socket, kind: int, bodies: Sequence[bytes], decode: Decode[T]
) -> list[T | None]:
    """Send all requests in one message. The kernel answers them one by one, in their order."""
    s.send(
        b"".join(_HEADER.pack(_HEADER.size + len(b), kind, _F_REQUEST, 0, 0) + b for b in bodies)
    )
    found: list[T | None] = []
    while len(found) < len(bodies):
        data = _received(s)
        for message, _, start, end in _messages(data):
            found.append(None if message == _NLMSG_ERROR else decode(data, start, end))
    return found


def change(protocol: int, kind: int, flags: int, body: bytes) -> tuple[int, str]:
    """Make a request that changes something; return the errno (0: done) and the kernel's words.

    Raises ProbeError where no answer can be had.
    """
    with _socket(protocol) as s:
        _send(s, kind, flags | _F_ACK, body)
        while True:
            data = _received(s)
            for message, marks, start, end in _messages(data):
                if message == _NLMSG_ERROR:
                    return _answer(data, message, marks, start, end)


def listener(protocol: int, groups: int) -> socket.socket | None:
    """Open a socket that hears these multicast groups (bits); None where that is refused."""
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    try:
        told = socket.socket(socket.AF_NETLINK, kind, protocol)
    except OSError:
        return None
    try:
        told.bind((0, groups))
    except OSError:
        told.close()
        return None
    return told


def heard(told: socket.socket) -> tuple[list[tuple[int, bytes]], bool]:
    """Return the messages a `listener` has received since the last call: type and payload.

    And whether that is all, as the kernel leaves some out where there are too many.
    """
    found: list[tuple[int, bytes]] = []
    whole = True
    while True:
        try:
            data = told.recv(_BUFFER)
        except BlockingIOError:
            return found, whole
        except OSError as lost:
            whole = False
            if lost.errno != ENOBUFS:
                return found, whole
            continue
        at = 0
        while at + _HEADER.size <= len(data):
            length, kind, *_ = _HEADER.unpack_from(data, at)
            if length < _HEADER.size:
                break
            found.append((kind, data[at + _HEADER.size : at + length]))
            at += (length + 3) & ~3


def attributes(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield each attribute's type, and the bounds of its payload in `data`."""
    unpack = _ATTRIBUTE.unpack_from
    while start + 4 <= end:
        length, kind = unpack(data, start)
        if length < 4 or start + length > end:
            return
        yield kind & _TYPE_MASK, start + 4, start + length
        start += (length + 3) & ~3


def chosen(data: bytes, start: int, end: int, wanted: Container[int]) -> dict[int, tuple[int, int]]:
    """Return the bounds in `data` of the payloads of the wanted attributes.

    For messages with many attributes, of which few are looked at.
    """
    unpack, found = _ATTRIBUTE.unpack_from, {}
    while start + 4 <= end:
        length, kind = unpack(data, start)
        if length < 4 or start + length > end:
            break
        if kind & _TYPE_MASK in wanted:
            found[kind & _TYPE_MASK] = start + 4, start + length
        start += (length + 3) & ~3
    return found


def text(data: bytes, start: int, end: int) -> str:
    """Decode a C string. Bytes that are not UTF-8 become surrogates (`os.fsencode` undoes it)."""
    return os.fsdecode(data[start:end].split(b"\0", 1)[0])


def refusal(errno: int, doing: str, kernel: str = "") -> ProbeError:
    """Return a netlink errno as a refusal. doing: the step that failed. kernel: its extack text."""
    why = f"{doing}: {kernel or os.strerror(errno)}"
    return _KINDS.get(errno, ProbeError)(why, errno=errno, remedy=_what_to_do(errno))


def _what_to_do(errno: int) -> str:
    if errno not in (EPERM, EACCES):
        return remedy(errno)
    if capabilities.missing(capabilities.NET_ADMIN):
        return "Run as root (sudo), or grant CAP_NET_ADMIN."
    return capabilities.why_not(capabilities.NET_ADMIN)[1]


@contextmanager
def _socket(protocol: int) -> Iterator[socket.socket]:
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol) as s:
            for option in (_NETLINK_EXT_ACK, _NETLINK_CAP_ACK):
                with suppress(OSError):  # before Linux 4.12: errors come without the kernel's text
                    s.setsockopt(_SOL_NETLINK, option, 1)
            yield s
    except OSError as e:
        raise refusal(e.errno or 0, "netlink cannot be read") from e


def _replies(
    s: socket.socket, kind: int, flags: int, body: bytes, decode: Decode[T]
) -> Iterator[T]:
    _send(s, kind, flags, body)
    changed = False
    while True:
        data = _received(s)
        for message, marks, start, end in _messages(data):
            changed = changed or bool(marks & F_DUMP_INTR)
            if message in (NLMSG_DONE, _NLMSG_ERROR):
                _check(data, message, marks, start, end)
                if changed:
                    raise _ChangedMeanwhile
                return
            decoded = decode(data, start, end)
            if decoded is not None:
                yield decoded


def _send(s: socket.socket, kind: int, flags: int, body: bytes) -> None:
    s.send(_HEADER.pack(_HEADER.size + len(body), kind, _F_REQUEST | flags, 0, 0) + body)


def _received(s: socket.socket) -> bytes:
    data, _, message_flags, _ = s.recvmsg(_BUFFER)
    if message_flags & socket.MSG_TRUNC:
        raise ProbeError("netlink sent a message larger than the buffer")
    return data


def _messages(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, flags, _, _ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size or at + length > len(data):
            raise ProbeError("netlink sent a malformed message")
        yield kind, flags, at + _HEADER.size, at + length
        at += (length + 3) & ~3


def _check(data: bytes, message: int, flags: int, start: int, end: int) -> None:
    """Raise the error of NLMSG_ERROR, or of the NLMSG_DONE of a dump that failed midway."""
    errno, kernel = _answer(data, message, flags, start, end)
    if errno:
        raise refusal(errno, "netlink refused to list it", kernel)


def _answer(data: bytes, message: int, flags: int, start: int, end: int) -> tuple[int, str]:
    """Return the errno (0: none) and the kernel's words of such a message."""
    errno = -_ERRNO.unpack_from(data, start)[0] if end - start >= 4 else 0
    if errno <= 0:
        return 0, ""
    at = start + 4
    if message == _NLMSG_ERROR:  # then comes the request's header, and its body if not capped
        body = 0 if flags & _F_CAPPED else _HEADER.unpack_from(data, at)[0] - _HEADER.size
        at += _HEADER.size + body
    found = {k: text(data, b, e) for k, b, e in attributes(data, at, end) if k == _ERRMSG_TEXT}
    return errno, found.get(_ERRMSG_TEXT, "") if flags & _F_ACK_TLVS else ""
