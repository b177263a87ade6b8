"""Bundles: what they hold comes back, and which are refused, in one sentence each."""

from __future__ import annotations

import hashlib
import json
import os
import re
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from probes.compile import bundle, kernel_build
from probes.compile.bundle import Answer, Provenance
from probes.compile.kernel_build import KernelBuild
from probes.errors import Denied, ProbeError, Unsupported

LOAD_MAP = "18110000010000000000000000000000"
EXIT = "9500000000000000"
TABLE = {
    "name": "rows", "key_desc": '"int"', "leaf_desc": '"int"',
    "fd": 1, "type": 1, "key_size": 4, "leaf_size": 4, "max_entries": 8, "flags": 0,
}  # fmt: skip
ANSWER: Answer = {"functions": {"one": LOAD_MAP + EXIT}, "maps": [TABLE]}


def _about() -> Provenance:
    return Provenance(
        kernel_build.in_use(), "1.2", "0.26", bundle.our_c(), locked=bundle.locked_down()
    )


def _made(about: Provenance | None = None, answer: object = ANSWER) -> bytes:
    return bundle.written(about or _about(), {bundle.key("C", in_pidns=False): answer})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "web.bundle"
    made.write_bytes(_made())
    made.chmod(0o644)
    return made


def test_what_was_compiled_comes_back(file: Path) -> None:
    found = bundle.read(file)
    assert found.answer("C", in_pidns=False) == ANSWER
    assert found.answer("other C", in_pidns=False) is None
    assert found.about == _about()


def test_the_same_answers_make_the_same_bytes() -> None:
    assert _made() == _made()


def test_a_source_that_knows_pid_namespaces_has_a_program_for_either() -> None:
    assert bundle.key("C", in_pidns=True) == bundle.key("C", in_pidns=False)
    assert bundle.key("PIDNS", in_pidns=True) != bundle.key("PIDNS", in_pidns=False)


# -- the kernel build ------------------------------------------------------------------------


def _of(about: Provenance, **changes: str) -> Provenance:
    return replace(about, kernel=about.kernel._replace(**changes))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda a: _of(a, release="5.4.0-1"), r"made for Linux 5\.4\.0-1 \("),
        (lambda a: _of(a, version="#2 SMP"), "made for the build #2 SMP of "),
        (lambda a: _of(a, machine="s390x"), r"\(s390x\), and this is Linux "),
        (lambda a: _of(a, btf="0" * 64), "made for a kernel with BTF 000000000000, and this one's"),
        (lambda a: replace(a, locked=not a.locked), "lockdown=confidentiality was o"),
        (
            lambda a: replace(a, c="0"),
            "made by ebpftop 1.2, whose C differs from that of this one 7.8",
        ),
    ],
)
def test_one_of_another_kernel_or_version_is_refused(
    change: Callable[[Provenance], Provenance], said: str
) -> None:
    with pytest.raises(Unsupported, match=said) as refused:
        bundle.parsed(_made(change(_about())), "x.bundle", ebpftop="7.8")
    assert refused.value.why.startswith("x.bundle is not used: it was made ")
    assert "ebpftop bundle" in refused.value.remedy


def test_where_only_the_btf_is_known_that_decides() -> None:
    """Of a bundle that was made elsewhere, from a copy of it."""
    here = kernel_build.in_use()
    assert KernelBuild("", "", here.machine, here.btf).differs_from(here) == ""
    assert KernelBuild("", "", here.machine, "0" * 64).differs_from(here)


# -- the bytes -------------------------------------------------------------------------------


def _with_digest(rest: bytes) -> bytes:
    return f"ebpftop-bundle/1 {hashlib.sha256(rest).hexdigest()}\n".encode() + rest


def _flipped(at: int) -> bytes:
    data = bytearray(_made())
    data[at] ^= 1
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is not a bundle of ebpftop"),
        (b"\x7fELF" + bytes(100), "is not a bundle of ebpftop"),
        (b"ebpftop-bundle/9 0\n{}\n", "is a bundle of format 9; this ebpftop reads 1"),
        (_flipped(-1), "altered or cut off"),
        (_flipped(100), "altered or cut off"),
        (_flipped(30), "altered or cut off"),
        (_made()[:-1], "altered or cut off"),
        (_made() + b"x", "altered or cut off"),
        (_with_digest(b"[]\nx"), "is not a bundle of ebpftop"),
        (_with_digest(b'{"kernel": 1}\nx'), "is not a bundle of ebpftop"),
        (_with_digest(_made().split(b"\n")[1] + b"\nx"), "is not a bundle of ebpftop"),
        (
            _with_digest(_made().split(b"\n")[1] + b"\n" + zlib.compress(b"[]")),
            "is not a bundle of ebpftop",
        ),
    ],
)
def test_one_that_is_not_what_was_written_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(Unsupported, match=said):
        bundle.parsed(data, "x.bundle")


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {"functions": {"one": EXIT}},
        {"functions": {"one": EXIT[:-2]}, "maps": []},
        {"functions": {"one": "zz"}, "maps": []},
        {"functions": {"one": LOAD_MAP}, "maps": []},
        {"functions": {"one": 1}, "maps": []},
        {"functions": {"one": EXIT}, "maps": [{**TABLE, "type": "hash"}]},
        {"functions": {"one": EXIT}, "maps": [TABLE, TABLE]},
        {"error": "no-bcc", "why": "w"},
    ],
)
def test_a_program_that_no_compiler_makes_is_refused(answer: object) -> None:
    found = bundle.parsed(_made(answer=answer), "x.bundle")
    if answer is None:
        assert found.answer("C", in_pidns=False) is None
        return
    with pytest.raises(Unsupported, match="is not a bundle of ebpftop"):
        found.answer("C", in_pidns=False)


# -- whose it is -----------------------------------------------------------------------------


def test_one_that_others_may_write_to_is_refused(file: Path) -> None:
    file.chmod(0o664)
    with pytest.raises(Denied, match="others may write to it") as refused:
        bundle.read(file)
    assert refused.value.remedy == f"If you know what is in it: chmod go-w {file}"


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file away: needs root")
def test_one_of_another_user_is_refused(file: Path) -> None:
    os.chown(file, 65534, 0)
    with pytest.raises(Denied, match="it belongs to nobody, not to root") as refused:
        bundle.read(file)
    assert "chown root" in refused.value.remedy


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o644)
    tmp_path.chmod(0o700)
    for name, said in (("pipe", "is not a bundle"), (".", "Is a directory"), ("no", "No such")):
        with pytest.raises(Unsupported, match=said):
            bundle.read(tmp_path / name)


def test_of_those_in_their_place_the_one_that_fits_is_used(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "PLACE", file.parent)
    (file.parent / "a.bundle").write_bytes(_made(_of(_about(), release="5.4.0-1")))
    (file.parent / "a.bundle").chmod(0o644)
    found = bundle.placed()
    assert found.bundle is not None
    assert found.bundle.name == str(file)
    file.unlink()
    assert bundle.placed().bundle is None
    assert re.search("made for Linux 5.4.0-1", bundle.placed().why)
    monkeypatch.setattr(bundle, "PLACE", file.parent / "none")
    assert bundle.placed() == (None, "")


def test_no_sentence_has_control_characters() -> None:
    told = json.loads(_made().split(b"\n")[1])
    told["kernel"]["release"] = "\x1b[31m5"
    packed = zlib.compress(b"{}")
    data = _with_digest(json.dumps(told).encode() + b"\n" + packed)
    with pytest.raises(ProbeError) as refused:
        bundle.parsed(data, "x.bundle")
    assert "\x1b" not in refused.value.why
