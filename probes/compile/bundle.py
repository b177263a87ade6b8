"""Bundles: what another host has compiled for this kernel build, in one file.

A bundle holds what the compiler's child would answer for each source: instructions, descriptions of
maps, or why it does not compile. It is data alone, and nothing in it is run but what the kernel's
verifier admits. It is used only if its owner is trusted, it is what was written, byte for byte, and
it was made for this very kernel build and for the C of this ebpftop.

    ebpftop-bundle/1 SHA-256 of all that follows
    JSON: for which kernel, by which ebpftop and bcc
    JSON, compressed by zlib: key of a source -> answer
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import struct
import zlib
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from probes.compile import headers, kernel_build
from probes.compile.instructions import maps_of
from probes.compile.kernel_build import KernelBuild
from probes.errors import Denied, ProbeError, Unsupported
from probes.kernel import capabilities
from probes.kernel.users import user_name
from probes.units import printable

PLACE = Path("/var/lib/ebpftop/bundles")
"""Directory in which a host without bcc looks for `*.bundle`."""
MOST_BYTES, MOST_RAW = 16 << 20, 256 << 20
"""Bytes of a file, and of what is in it."""
_TEXTS = ("name", "key_desc", "leaf_desc")
_NUMBERS = ("fd", "type", "key_size", "leaf_size", "max_entries", "flags")
_MAGIC, _VERSION = "ebpftop-bundle", 1
_MAKE = (
    "Make one on a host of this kernel build that has bcc: ebpftop bundle. Or elsewhere, from a"
    " copy of this host's /sys/kernel/btf/vmlinux: ebpftop bundle --btf FILE."
)

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Provenance:
    """Provenance of a bundle. c: the digest of our C; locked: under lockdown=confidentiality.

    ebpftop, bcc: versions.
    """

    kernel: KernelBuild
    ebpftop: str
    bcc: str
    c: str
    locked: bool


class Needs(NamedTuple):
    """Demands of a host on bundles: its kernel build, its ebpftop's C, its lockdown."""

    kernel: KernelBuild
    c: str
    locked: bool

    def unmet_by(self, about: Provenance, ebpftop: str = "") -> str:
        """Return in words why a bundle does not fit, "" if it does. ebpftop: the host's version."""
        if wrong := about.kernel.differs_from(self.kernel):
            return wrong
        if about.locked != self.locked:
            state = "on" if about.locked else "off"
            return f"it was made where lockdown=confidentiality was {state}"
        if about.c != self.c:
            made = f"it was made by ebpftop {about.ebpftop}, whose C differs from that of {ebpftop}"
            return made.strip()
        return ""


class Bundle:
    """A bundle that was read. name: of its file, for people."""

    def __init__(self, name: str, about: Provenance, answers: Mapping[str, Answer]) -> None:
        self.name, self.about = name, about
        self._answers = answers

    def answer(self, text: str, *, in_pidns: bool) -> Answer | None:
        """Return the compiler's answer to a source (as `numbers.split` returns it), or None.

        Raises Unsupported where it is none that a compiler gives.
        """
        found = self._answers.get(key(text, in_pidns=in_pidns))
        if found is not None and not _is_answer(found):
            raise _no_bundle(self.name)
        return found

    def __len__(self) -> int:
        return len(self._answers)

    def __str__(self) -> str:
        return f"bundle {self.name}, by ebpftop {self.about.ebpftop} and bcc {self.about.bcc}"


def key(text: str, *, in_pidns: bool) -> str:
    """Return the key of a source. in_pidns: for hosts that are in a PID namespace of their own."""
    other = "in_pidns\0" if in_pidns and differs_in_pidns(text) else ""
    return hashlib.sha256(f"{other}{text}".encode()).hexdigest()[:32]


def differs_in_pidns(text: str) -> bool:
    return "PIDNS" in text


def our_c() -> str:
    """Return the digest of the C that all programs share; that of a hook is in its source."""
    parts = (*headers.shared_c(), headers.CONSTANTS, *headers.TYPE_FLAGS)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def locked_down() -> bool:
    return capabilities.lockdown() == "confidentiality"


def needs() -> Needs:
    """Return what a bundle for this host has to be."""
    return Needs(kernel_build.in_use(), our_c(), locked_down())


# -- writing ---------------------------------------------------------------------------------


def written(about: Provenance, answers: Mapping[str, Answer]) -> bytes:
    """Return a bundle's bytes; the same for the same answers."""
    told = json.dumps({**asdict(about), "kernel": about.kernel._asdict()}, sort_keys=True)
    packed = zlib.compress(json.dumps(answers).encode(), 9)
    rest = told.encode() + b"\n" + packed
    return f"{_MAGIC}/{_VERSION} {hashlib.sha256(rest).hexdigest()}\n".encode() + rest


# -- reading ---------------------------------------------------------------------------------


def read(file: Path, *, ebpftop: str = "") -> Bundle:
    """Return a file's bundle. ebpftop: our own version, for people.

    Raises Denied where somebody else may have written it, and Unsupported where it is no bundle,
    altered, or for another kernel build or ebpftop.
    """
    return parsed(_bytes(file), printable(str(file)), ebpftop=ebpftop)


def checked(file: Path) -> tuple[Provenance, bytes]:
    """Return for which host a file's bundle is, and all of its bytes. Raises as `read` does."""
    data = _bytes(file)
    return _about(data, printable(str(file)))[0], data


def parsed(data: bytes, name: str, *, ebpftop: str = "") -> Bundle:
    """Return the bundle in these bytes, which were trusted already. Raises Unsupported."""
    about, packed = _about(data, name)
    _check_fits(about, name, ebpftop)
    try:
        inflate = zlib.decompressobj()
        answers = json.loads(inflate.decompress(packed, MOST_RAW))
        if not (inflate.eof and isinstance(answers, dict)):
            raise ValueError("cut off, or no object")
    except (zlib.error, ValueError, RecursionError):
        raise _no_bundle(name) from None
    return Bundle(name, about, answers)


def _bytes(file: Path) -> bytes:
    name = printable(str(file))
    try:
        fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as opened:
            status = os.fstat(fd)  # of what is read, whatever has its name by now
            _check_trusted(name, status)
            if not stat.S_ISREG(status.st_mode) or status.st_size > MOST_BYTES:
                raise _no_bundle(name)
            return opened.read(MOST_BYTES)
    except OSError as refused:
        raise Unsupported(f"{name} cannot be read: {refused.strerror}") from None


def _check_trusted(name: str, status: os.stat_result) -> None:
    if status.st_uid not in (os.geteuid(), 0):
        ours = user_name(os.geteuid())
        raise Denied(
            f"{name} is not used: it belongs to {user_name(status.st_uid)}, not to {ours}",
            remedy=f"If you know where it is from: chown {ours} {name}",
        )
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise Denied(
            f"{name} is not used: others may write to it",
            remedy=f"If you know what is in it: chmod go-w {name}",
        )


def _about(data: bytes, name: str) -> tuple[Provenance, bytes]:
    """Return what a bundle says of itself, and the rest, once all of it is what was written."""
    first, _, rest = data.partition(b"\n")
    magic, _, digest = first.partition(b" ")
    kind, _, version = magic.decode(errors="replace").partition("/")
    if kind != _MAGIC or not version.isdecimal():
        raise _no_bundle(name)
    if int(version) != _VERSION:
        raise Unsupported(
            f"{name} is a bundle of format {version}; this ebpftop reads {_VERSION}", remedy=_MAKE
        )
    if hashlib.sha256(rest).hexdigest().encode() != digest:
        raise Unsupported(
            f"{name} is not used: it was altered or cut off since it was made",
            remedy="Copy it again.",
        )
    told, _, packed = rest.partition(b"\n")
    try:
        about = json.loads(told)
        kernel = KernelBuild(**{n: str(v) for n, v in about.pop("kernel").items()})
        words = {n: str(about[n]) for n in ("ebpftop", "bcc", "c")}
        return Provenance(kernel, **words, locked=about["locked"] is True), packed
    except (ValueError, TypeError, KeyError, AttributeError):
        raise _no_bundle(name) from None


def _no_bundle(name: str) -> ProbeError:
    return Unsupported(f"{name} is not a bundle of ebpftop", remedy=_MAKE)


def _check_fits(about: Provenance, name: str, ebpftop: str) -> None:
    if wrong := needs().unmet_by(about, f"this one {ebpftop}".strip()):
        raise Unsupported(f"{name} is not used: {printable(wrong)}", remedy=_MAKE)


def _is_answer(found: object) -> bool:
    match found:
        case {"error": "compile", "why": str()}:
            return True
        case {"functions": dict() as functions, "maps": list() as maps}:
            tables = {table.get("fd") for table in maps if _is_map(table)}
            return len(tables) == len(maps) and all(_is_code(c, tables) for c in functions.values())
    return False


def _is_map(table: object) -> bool:
    return (
        isinstance(table, dict)
        and all(isinstance(table.get(name), str) for name in _TEXTS)
        and all(isinstance(table.get(name), int) for name in _NUMBERS)
    )


def _is_code(code: object, maps: Collection[object]) -> bool:
    """Return whether it is instructions, in hexadecimal, of which each map is there."""
    try:
        return isinstance(code, str) and maps_of(bytes.fromhex(code)) <= set(maps)
    except (ValueError, struct.error):
        return False


class PlacedBundle(NamedTuple):
    """The bundle in `PLACE` that fits, or why none does; "" where there is none."""

    bundle: Bundle | None
    why: str = ""


def placed() -> PlacedBundle:
    """Return the first bundle in `PLACE` that fits this host."""
    why = ""
    for file in candidates():
        try:
            return PlacedBundle(read(file))
        except ProbeError as refused:
            why = why or refused.why
    return PlacedBundle(None, why)


def candidates() -> list[Path]:
    """Return the files in `PLACE`."""
    try:
        return sorted(PLACE.glob("*.bundle"))
    except OSError:
        return []
