"""Netlink messages byte in, value or refusal out."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from errno import EEXIST, EINVAL, ENODEV, EPERM
from struct import pack

import pytest

from probes.errors import Busy, Denied, Gone, ProbeError, Unsupported
from probes.kernel.netlink import socket as nlsocket

ERROR, DONE, ENTRY = 2, 3, 16
MULTI, INTERRUPTED, CAPPED, WITH_TEXT = 0x2, 0x10, 0x100, 0x200


def _message(kind: int, payload: bytes, flags: int = MULTI) -> bytes:
    whole = pack("=IHHII", 16 + len(payload), kind, flags, 0, 0) + payload
    return whole + bytes(-len(whole) % 4)


def _text(words: str) -> bytes:
    payload = words.encode() + b"\0"
    return pack("=HH", 4 + len(payload), 1) + payload + bytes(-len(payload) % 4)


def _payload(data: bytes, start: int, end: int) -> bytes | None:
    return data[start:end] or None


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """What is sent into the second end comes out of the first, message by message."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    yield ends
    for end in ends:
        end.close()


def _replies(pair: tuple[socket.socket, socket.socket], *buffers: bytes) -> list[bytes]:
    for buffer in buffers:
        pair[1].send(buffer)
    return list(nlsocket._replies(pair[0], ENTRY, 0, b"", _payload))


def test_entries_come_from_several_buffers_until_done(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    done = _message(DONE, pack("=i", 0))
    first = _message(ENTRY, b"abc") + _message(ENTRY, b"") + _message(ENTRY, b"defgh")
    assert _replies(pair, first, _message(ENTRY, b"i") + done) == [b"abc", b"defgh", b"i"]


@pytest.mark.parametrize("where", ["entry", "done"])
def test_a_list_that_changed_meanwhile_is_not_believed(
    pair: tuple[socket.socket, socket.socket], where: str
) -> None:
    """NLM_F_DUMP_INTR, on whichever message it stands."""
    entry = _message(ENTRY, b"a", MULTI | (INTERRUPTED if where == "entry" else 0))
    done = _message(DONE, pack("=i", 0), MULTI | (INTERRUPTED if where == "done" else 0))
    with pytest.raises(nlsocket._ChangedMeanwhile):
        _replies(pair, entry, done)


def test_an_error_carries_the_kernel_s_own_words(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    request = pack("=IHHII", 20, 18, 1, 0, 0)
    whole = pack("=i", -EPERM) + request + b"body" + _text("ask the administrator")
    with pytest.raises(Denied, match="ask the administrator") as refused:
        _replies(pair, _message(ERROR, whole, WITH_TEXT))
    assert refused.value.errno == EPERM
    assert refused.value.remedy
    capped = pack("=i", -EINVAL) + request + _text("no such attribute")
    with pytest.raises(Unsupported, match="no such attribute"):
        _replies(pair, _message(ERROR, capped, WITH_TEXT | CAPPED))


def test_a_dump_that_fails_midway_is_an_error(pair: tuple[socket.socket, socket.socket]) -> None:
    done = _message(DONE, pack("=i", -ENODEV) + _text("it went away"), MULTI | WITH_TEXT)
    with pytest.raises(Gone, match="it went away"):
        _replies(pair, _message(ENTRY, b"a"), done)


@pytest.mark.parametrize("data", [b"\x08\0\0\0" + b"\0" * 20, b"\xff\xff\0\0" + b"\0" * 20])
def test_a_broken_message_is_refused(
    pair: tuple[socket.socket, socket.socket], data: bytes
) -> None:
    with pytest.raises(ProbeError, match="malformed"):
        _replies(pair, data)


def test_attributes_are_walked_with_their_padding() -> None:
    data = b"xx" + pack("=HH5s3x", 9, 7, b"hello") + pack("=HHI", 8, 0x8000 | 9, 5) + b"\1"
    found = [
        (kind, data[start:end]) for kind, start, end in nlsocket.attributes(data, 2, len(data))
    ]
    assert found == [(7, b"hello"), (9, pack("=I", 5))]


@pytest.mark.parametrize("length", [0, 3, 9, 0xFFFF])
def test_a_broken_attribute_ends_the_walk(length: int) -> None:
    data = pack("=HHI", 8, 1, 0) + pack("=HHI", length, 2, 0)
    assert [kind for kind, _, _ in nlsocket.attributes(data, 0, len(data))] == [1]


def test_bytes_that_are_no_text_survive() -> None:
    assert nlsocket.text(b"a\xffb\0junk", 0, 8).encode(errors="surrogateescape") == b"a\xffb"


def test_each_errno_is_its_kind_of_refusal() -> None:
    assert type(nlsocket.refusal(EEXIST, "x")) is Busy
    assert type(nlsocket.refusal(5, "x")) is ProbeError
    assert str(nlsocket.refusal(5, "reading")) == "reading: Input/output error"


def test_what_the_kernel_refuses_to_give_is_a_refusal() -> None:
    """A request of a type that rtnetlink does not know."""
    with pytest.raises(Unsupported):
        nlsocket.dump(nlsocket.ROUTE, 0xFFFE, b"\0" * 4, _payload)
    with pytest.raises(ProbeError, match="netlink cannot be read"):
        nlsocket.dump(99, 18, b"", _payload)
