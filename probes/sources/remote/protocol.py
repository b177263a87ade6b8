r"""The protocol between two ebpftops over a pipe.

    there -> here   ebpftop-wire/2\n, then messages: kind, length, payload
                    H: whose numbers these are   F: a moment   A: an answer   (JSON but for F)
    here -> there   requests: a JSON object on each line; `id` comes back with the answer

Moments are frames as on a tape, in one zlib stream: the first is complete, all others hold what
changed. Input is untrusted: Malformed is anything that the other side cannot have written.
"""

from __future__ import annotations

import asyncio
import json
import struct
import zlib
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any, NamedTuple

from probes import errors
from probes.compile.bundle import Needs
from probes.compile.kernel_build import KernelBuild
from probes.drop_rule import RuleError
from probes.errors import ProbeError
from probes.hooks import catalogue
from probes.model import Hook, HookId
from probes.recording.codec import MOST_CELLS, TOO_LARGE, Malformed
from probes.recording.compat import SchemaAdapter
from probes.recording.decoder import MOST_HOOKS, Decoder
from probes.recording.encoder import Encoder, Tick
from probes.recording.tape import most_compressed, most_raw
from probes.source import Host
from probes.units import printable

MAGIC, VERSION = b"ebpftop-wire/", 2
HEAD = struct.Struct("<cI")
HELLO, MOMENT, ANSWER = b"H", b"F", b"A"
MOST_TOLD = 1 << 20
"""Bytes of a JSON message."""
MOST_REQUEST = 1 << 16
"""Bytes of a request."""
MOST_OWN = 64
"""Hooks of users there that are known here, however many a host names."""
SILENCE = 30.0
"""Seconds without a message after which the other side counts as gone (a connection half open)."""
LAST_WORDS = 2.0
"""Seconds that the other side has for what is still on its way at the end."""
_SIZE = struct.Struct("<I")
_LONGEST, _LONGEST_ID = 4000, 100
"""Characters of a text that are accepted, and of a request's id."""
_MOST_RESULTS = 100
"""Texts in an answer, at the most."""
_DEEPEST = 20
"""Nesting depth of objects and lists in a message."""


class Outgoing:
    """Messages in the making. hooks: the catalogue that moments are by."""

    def __init__(self, hooks: Mapping[str, Hook]) -> None:
        self._hooks = hooks
        self._encoder, self._deflate = Encoder(hooks), zlib.compressobj(6, zlib.DEFLATED, -15)
        self._begun = False

    def hello(self, host: Host, version: str, needs: Needs | None = None) -> bytes:
        """Return the very first bytes.

        version: ebpftop's own, for display. needs: the bundle that this host, without bcc, lacks.
        """
        lacks = {} if needs is None else {"needs": [*needs.kernel, needs.c, needs.locked]}
        return MAGIC + b"%d\n" % VERSION + _json(HELLO, {
            "host": host.title, "kernel": host.kernel, "privilege": host.privilege,
            "demo": host.demo, "version": version, "hooks": list(self._hooks), **lacks,
        })  # fmt: skip

    def moment(self, tick: Tick) -> bytes:
        raw = self._encoder.encode(tick, key=not self._begun)
        self._begun = True
        data = self._deflate.compress(raw) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return HEAD.pack(MOMENT, _SIZE.size + len(data)) + _SIZE.pack(len(raw)) + data


def answer(
    id: object, error: ProbeError | RuleError | None = None, result: Sequence[str] = ()
) -> bytes:
    """Acknowledge a request, or report why it failed.

    Its effect was sent in the preceding frame.
    """
    named = id if isinstance(id, int | str) and len(str(id)) <= _LONGEST_ID else None
    told: dict[str, object] = {"id": named, "result": list(result)}
    if error is not None:
        told["error"] = type(error).__name__
        told["why"] = str(error)
    if isinstance(error, ProbeError):
        told |= {"errno": error.errno, "remedy": error.remedy}
    return _json(ANSWER, told)


def _json(kind: bytes, value: object) -> bytes:
    data = json.dumps(value).encode()
    return HEAD.pack(kind, len(data)) + data


def request(**what: object) -> bytes:
    return json.dumps(what).encode() + b"\n"


async def sent(writer: asyncio.StreamWriter) -> None:
    """Wait until everything is on its way, or nobody reads it."""
    try:
        async with asyncio.timeout(LAST_WORDS):
            await writer.drain()
            while writer.transport.get_write_buffer_size():
                await asyncio.sleep(0.01)
    except (TimeoutError, ConnectionError):
        pass


class Incoming:
    """Messages as values.

    hooks: those that moments are wanted by; `recall` knows further ones by name, which are added.
    cells: that a moment may have.
    """

    def __init__(
        self,
        hooks: MutableMapping[str, Hook],
        recall: Callable[[str], Hook | None] = lambda _: None,
        cells: int = MOST_CELLS,
    ) -> None:
        self._hooks, self._recall, self._cells = hooks, recall, cells
        self._unknown: set[str] = set()
        self._recalled = len(hooks.keys() - catalogue().keys())
        self._decoder, self._adapter = Decoder(cells), SchemaAdapter(hooks)
        self._inflate = zlib.decompressobj(-15)

    @property
    def most(self) -> int:
        """The bytes that a moment may have."""
        return _SIZE.size + most_compressed(most_raw(self._cells))

    def moment(self, payload: bytes | bytearray) -> Tick:
        if len(payload) < _SIZE.size:
            raise Malformed("a moment is cut off")
        (size,) = _SIZE.unpack_from(payload)
        if not 0 < size <= most_raw(self._cells):
            raise Malformed(TOO_LARGE)
        data = memoryview(payload)[_SIZE.size :]
        if len(data) > most_compressed(size):
            raise Malformed("a moment has the wrong length")
        try:
            raw = self._inflate.decompress(data, size + 1)
        except zlib.error:
            raise Malformed("it cannot be decompressed") from None
        if len(raw) != size:
            raise Malformed("a moment has the wrong length")
        tick = self._decoder.decode(raw, key=self._decoder.before is None)
        self._recall_new(tick)
        return self._adapter.tick(tick, self._decoder.layouts)

    def _recall_new(self, tick: Tick) -> None:
        """Add hooks of users there, as they were asked for there."""
        named = {*tick.samples, *(s.id.hook for s in tick.statuses)}
        found: dict[str, Hook] = {}
        for name in named - self._hooks.keys() - self._unknown:
            few = len(self._unknown) < MOST_HOOKS and self._recalled + len(found) < MOST_OWN
            hook = self._recall(name) if few else None
            if hook is not None and hook.name == name:
                found[name] = hook
            elif len(self._unknown) < MOST_HOOKS:
                self._unknown.add(name)
        if found:
            self._recalled += len(found)
            self._hooks.update(found)
            self._adapter = SchemaAdapter(self._hooks)


def read_json(payload: bytes | bytearray) -> dict[str, Any]:
    if len(payload) > MOST_TOLD:
        raise Malformed("a message is too large")
    try:
        value = json.loads(payload)
    except (ValueError, RecursionError):
        raise Malformed("a message is not JSON") from None
    if not isinstance(value, dict):
        raise Malformed("a message is not an object")
    if _deep(value):
        raise Malformed("a message is nested too deeply")
    return value


def _deep(value: object) -> bool:
    """Return whether the nesting is deeper than in any message."""
    level = [value]
    for _ in range(_DEEPEST):
        inner: list[object] = []
        for one in level:
            inner += one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        level = [one for one in inner if isinstance(one, dict | list)]
        if not level:
            return False
    return True


class Hello(NamedTuple):
    """Greeting of a host: whose numbers these are. version, hooks: of the ebpftop there.

    needs: what a bundle for that host, which has no bcc, has to be.
    """

    host: Host
    version: str
    hooks: frozenset[str] = frozenset()
    needs: Needs | None = None


def read_hello(payload: bytes | bytearray) -> Hello:
    """Return what the other side says of itself."""
    told = read_json(payload)
    host = Host(
        text(told, "host"), text(told, "kernel"), text(told, "privilege"), told.get("demo") is True
    )
    named = told.get("hooks")
    hooks = named if isinstance(named, list) else []
    known = frozenset(printable(hook[:_LONGEST]) for hook in hooks if isinstance(hook, str))
    return Hello(host, text(told, "version"), known, _read_needs(told.get("needs")))


def _read_needs(told: object) -> Needs | None:
    match told:
        case [
            str() as release,
            str() as version,
            str() as machine,
            str() as btf,
            str() as c,
            bool() as locked,
        ]:
            words = (printable(word[:_LONGEST]) for word in (release, version, machine, btf))
            return Needs(KernelBuild(*words), c, locked)
    return None


def read_error(told: Mapping[str, Any]) -> ProbeError | RuleError | None:
    """Return what an answer says went wrong, as the error that it was there."""
    if "error" not in told:
        return None
    name, why = text(told, "error"), text(told, "why")
    if name == RuleError.__name__:
        return RuleError(why)
    kind = getattr(errors, name, ProbeError)
    if not (isinstance(kind, type) and issubclass(kind, ProbeError)):
        kind = ProbeError
    number = told.get("errno")
    made: ProbeError = kind(
        why, errno=number if isinstance(number, int) else 0, remedy=text(told, "remedy")
    )
    return made


def read_result(told: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the texts of an answer."""
    result = told.get("result")
    if not isinstance(result, list):
        return ()
    return tuple(printable(r[:_LONGEST]) for r in result[:_MOST_RESULTS] if isinstance(r, str))


def named(id: HookId) -> list[str | None]:
    """Return a hook and its target; names of users' own hooks may have any character."""
    return [id.hook, id.target]


def read_id(pair: object) -> HookId:
    match pair:
        case [str() as hook, str() | None as target]:
            return HookId(hook, target)
    raise Malformed("a hook has no name")


def text(told: Mapping[str, Any], name: str) -> str:
    """Return a text of a message, made harmless; "" where there is none."""
    value = told.get(name)
    return printable(value[:_LONGEST]) if isinstance(value, str) else ""
