"""What every hook promises. A new hook's file is tested by being there."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from probes import hooks, toolkit
from probes.attach.cgroup import CgroupAttach, CgroupLink
from probes.attach.clsact import Clsact
from probes.attach.tcx import TcxLink
from probes.attach.xdp import XdpLink, XdpNetlink
from probes.compile import headers
from probes.hooks import catalogue
from probes.kernel import btf
from probes.model import Column, Hook, Kind, Program, Reach, Rung, TargetKind, Value
from probes.units import Unit

FOLDER = Path(hooks.__file__).parent
T, N, C, P, B, NS, US, PCT = (
    Unit.TEXT,
    Unit.NUMBER,
    Unit.COUNT,
    Unit.PACKETS,
    Unit.BYTES,
    Unit.NS,
    Unit.US,
    Unit.PERCENT,
)
LEAST = {
    "interfaces": {
        "interface": T,
        "rx_packets": P,
        "tx_packets": P,
        "rx_bytes": B,
        "tx_bytes": B,
        "rx_dropped": P,
        "tx_dropped": P,
        "xdp_mode": T,
        "xdp_program": T,
    },
    "xdp": {
        "interface": T,
        "program": T,
        "program_id": N,
        "aborted": P,
        "drop": P,
        "pass": P,
        "tx": P,
        "redirect": P,
        "bytes": B,
    },
    "tc-ingress": {"interface": T, "packets": P, "skbs": P, "bytes": B, "dropped": P},
    "tc-egress": {"interface": T, "packets": P, "skbs": P, "bytes": B, "dropped": P},
    "qdiscs": {
        "interface": T,
        "kind": T,
        "handle": T,
        "parent": T,
        "packets": P,
        "bytes": B,
        "dropped": P,
        "overlimits": C,
        "requeues": C,
    },
    "drops": {
        "interface": T,
        "reason": T,
        "location": T,
        "packets": P,
        "protocol": T,
        "dport": N,
        "comm": T,
        "pid": N,
        "counts": T,
        "netns": N,
    },
    "syscalls": {"syscall": T, "calls": C, "errors": C, "mean_ns": NS, "p99_ns": NS},
    "tcp-connect": {
        "comm": T,
        "pid": N,
        "raddr": T,
        "rport": N,
        "connects": C,
        "failed": C,
        "mean_ns": NS,
        "p99_ns": NS,
    },
    "tcp-rtt": {
        "laddr": T,
        "lport": N,
        "raddr": T,
        "rport": N,
        "comm": T,
        "pid": N,
        "srtt_us": US,
        "min_us": US,
        "p50_us": US,
        "p99_us": US,
        "samples": C,
        "retransmits": C,
    },
    "protocols": {
        "interface": T,
        "direction": T,
        "link": T,
        "protocol": T,
        "application": T,
        "packets": P,
        "bytes": B,
    },
    "cgroup-bytes": {
        "cgroup": T,
        "pid": N,
        "comm": T,
        "tx_packets": P,
        "tx_bytes": B,
        "rx_packets": P,
        "rx_bytes": B,
    },
    "sk-msg": {
        "laddr": T,
        "lport": N,
        "raddr": T,
        "rport": N,
        "messages": C,
        "bytes": B,
    },
    "lsm": {
        "pid": N,
        "comm": T,
        "uid": N,
        "check": T,
        "what": T,
        "checks": C,
        "denied": C,
    },
    "tcp-life": {
        "side": T,
        "port": N,
        "pid": N,
        "comm": T,
        "established": C,
        "closed": C,
        "aborted": C,
        "retransmits": C,
        "tx": B,
        "rx": B,
        "mean_ns": NS,
        "p99_ns": NS,
        "srtt_us": US,
    },
    "sock-addr": {
        "cgroup": T,
        "pid": N,
        "comm": T,
        "operation": T,
        "family": T,
        "protocol": T,
        "address": T,
        "port": N,
        "calls": C,
    },
    "programs": {
        "id": N,
        "type": T,
        "name": T,
        "attached_to": T,
        "runs": C,
        "ns_per_run": NS,
        "cpu_percent": PCT,
        "ours": T,
    },
}
"""The least columns of the JSON format, which scripts rely on, with their units."""
LATER: set[str] = set()
"""Named in the format, and not there yet; takes itself off this list by being there."""
every_hook = pytest.mark.parametrize(
    "hook", [pytest.param(h, id=n) for n, h in catalogue().items()]
)
every_rung = pytest.mark.parametrize(
    ("hook", "rung"),
    [pytest.param(h, r, id=f"{h.name}:{r.name}") for h in catalogue().values() for r in h.ladder],
)


# -- the catalogue ---------------------------------------------------------------------------


def test_every_file_in_the_folder_is_a_hook_and_every_hook_a_file() -> None:
    places = {p.stem for p in FOLDER.iterdir() if p.name[0] != "_"}
    here = {name.replace("-", "_") for name in catalogue()} - {"tc_ingress", "tc_egress"} | {"tc"}
    assert here == places, "a file or a folder per hook; tc has both directions"


def test_every_hook_of_the_format_is_there() -> None:
    assert set(LEAST) - LATER <= set(catalogue())
    assert not LATER & set(catalogue()), "not later any more"


def test_the_catalogue_is_in_the_order_of_the_screen_and_cannot_be_changed() -> None:
    order = [(h.order, h.name) for h in catalogue().values()]
    assert order == sorted(order)
    with pytest.raises(TypeError):
        catalogue()["x"] = next(iter(catalogue().values()))  # type: ignore[index]


@every_hook
def test_a_hook_says_what_it_answers(hook: Hook) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", hook.name)
    assert hook.title
    assert hook.question.endswith(".")


# -- columns ---------------------------------------------------------------------------------


@every_hook
def test_column_names_are_unique_and_fit_json_and_filters(hook: Hook) -> None:
    for columns in (hook.columns, hook.log):
        names = [c.name for c in columns]
        assert len(set(names)) == len(names)
        assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in names)
    rates = {f"{c.name}_per_s" for c in hook.columns if c.kind is Kind.COUNTER}
    assert not rates & {c.name for c in hook.columns}


@every_hook
def test_a_column_says_what_it_is(hook: Hook) -> None:
    for column in (*hook.columns, *hook.log):
        assert column.help.strip(), column.name
        assert "\n" not in column.help
        assert column.title


@every_hook
def test_rows_are_identified_by_at_least_one_column(hook: Hook) -> None:
    assert [c for c in hook.columns if c.kind is Kind.KEY]


@every_hook
def test_the_least_columns_of_the_format_are_there_with_their_units(hook: Hook) -> None:
    shown = {c.name: c for c in hook.columns if not c.hidden}
    for name, unit in LEAST.get(hook.name, {}).items():
        assert name in shown
        assert shown[name].unit is unit, name
        counts = unit in (Unit.COUNT, Unit.PACKETS, Unit.BYTES)
        assert (shown[name].kind is Kind.COUNTER) is counts, name


@every_hook
def test_derived_columns_and_only_these_derive(hook: Hook) -> None:
    for column in hook.columns:
        assert (column.derive is not None) is (column.kind is Kind.DERIVED), column.name
        if column.kind is Kind.DERIVED:
            assert column.field is None
            assert column.decode is None
    assert not [c for c in hook.log if c.derive or c.field]


def _values(column: Column, number: int | None) -> Value:
    if number is None:
        return None
    if column.kind is Kind.HISTOGRAM:
        return (number,) * 40
    return "text" if column.unit is Unit.TEXT else number


@every_hook
@pytest.mark.parametrize("number", [None, 0, 1, 2**63])
def test_derived_columns_can_be_derived_of_nothing_and_of_much(
    hook: Hook, number: int | None
) -> None:
    values = {c.name: _values(c, number) for c in hook.stored}
    for column in hook.columns:
        if column.derive is not None:
            derived = column.derive(values)
            if column.unit is Unit.TEXT:
                assert isinstance(derived, str), column.name
            else:
                assert isinstance(derived, float) if number else derived is None, column.name


@every_hook
def test_what_derived_columns_are_made_of_is_stored(hook: Hook) -> None:
    """A recording has all that the screen needs."""
    stored = {c.name for c in hook.stored}
    asked: set[str] = set()

    class Asked(dict[str, Value]):
        def __missing__(self, name: str) -> Value:
            asked.add(name)
            return None

    for column in hook.columns:
        if column.derive is not None:
            column.derive(Asked())
    assert asked <= stored


# -- ladders ---------------------------------------------------------------------------------


@every_hook
def test_rung_names_are_unique(hook: Hook) -> None:
    names = [r.name for r in hook.ladder]
    assert len(set(names)) == len(names) > 0
    assert all(re.fullmatch(r"[a-z_]+(-[a-z_]+)*", name) for name in names)


@every_hook
def test_a_ladder_ends_on_a_rung_that_needs_nothing(hook: Hook) -> None:
    """But for hooks that are asked for: of one target, or what nothing else tells."""
    if not hook.on_demand:
        assert hook.ladder[-1].passive
        assert hook.ladder[-1].requires.startswith("nothing")
    assert not [r for r in hook.ladder[:-1] if r.passive], "nothing comes after a passive rung"


@every_hook
def test_only_what_looks_on_can_be_attached_at_start(hook: Hook) -> None:
    """A hook that looks on may have rungs in the data path, for a user who pins them."""
    for rung in hook.ladder:
        kinds = [type(p.point) for p in rung.programs]
        if XdpLink in kinds or XdpNetlink in kinds:
            assert hook.reach_of(rung) is Reach.DATA_PATH
            assert hook.only_pinned(rung) is (hook.reach is Reach.OBSERVES)


@every_hook
def test_what_goes_into_a_data_path_says_what_to_know_before(hook: Hook) -> None:
    assert bool(hook.risk) is (hook.reach is Reach.DATA_PATH)


@every_hook
def test_rungs_that_are_only_pinned_come_last(hook: Hook) -> None:
    pinned = [hook.only_pinned(rung) for rung in hook.ladder]
    assert pinned == sorted(pinned)


def _kind(program: Program) -> str:
    """What a lasting and a passing way to the same place have in common."""
    match program.point:
        case XdpLink() | XdpNetlink():
            return "xdp"
        case TcxLink() | Clsact():
            return "tc"
        case CgroupLink() | CgroupAttach():
            return "cgroup"
        case other:
            return type(other).__name__


_OUTLIVES = XdpNetlink | Clsact | CgroupAttach


@every_hook
def test_lasting_rungs_come_after_those_that_go_with_the_process(hook: Hook) -> None:
    for i, rung in enumerate(hook.ladder):
        kinds = {_kind(p) for p in rung.programs if not p.optional}
        if rung.lasting:
            later = [r for r in hook.ladder[i + 1 :] if not r.lasting]
            assert not [r for r in later if kinds & {_kind(p) for p in r.programs}]


@every_rung
def test_a_rung_is_lasting_exactly_when_a_program_of_it_is(hook: Hook, rung: Rung) -> None:
    assert rung.lasting is any(isinstance(p.point, _OUTLIVES) for p in rung.programs), hook.name


@every_rung
def test_a_rung_says_what_it_needs(hook: Hook, rung: Rung) -> None:
    assert rung.requires, hook.name
    assert rung.passive or "Linux" in rung.requires
    assert rung.passive or "CAP_" in rung.requires


def _target(hook: Hook) -> str | None:
    return {TargetKind.NONE: None, TargetKind.INTERFACE: "lo", TargetKind.SYSCALL: "read"}[
        hook.target
    ]


@every_rung
def test_a_rung_with_programs_has_c_that_defines_them(hook: Hook, rung: Rung) -> None:
    source = rung.source_for(_target(hook))
    if rung.passive:
        assert source == ""
        assert not rung.types
        return
    for program in rung.programs:
        assert re.search(rf"^int {program.function}\(", source, re.MULTILINE), program.function
    assert "#include" not in source, "headers.py brings all there is"


@every_rung
def test_optional_programs_say_what_is_missing_without_them(hook: Hook, rung: Rung) -> None:
    for program in rung.programs:
        assert bool(program.without) is program.optional, hook.name
    assert not rung.programs or [p for p in rung.programs if not p.optional]


@every_rung
def test_columns_read_fields_that_the_rung_s_c_has(hook: Hook, rung: Rung) -> None:
    source = rung.source_for(_target(hook))
    for column in hook.stored:
        if source and column.field not in (None, "key", "value"):
            assert re.search(rf"\b{column.field}\b", source), column.name


def _optional(type: str) -> bool:
    """Not on every kernel that a rung of the type's hook stands on; the C does without."""
    return type.startswith(("trace_event_raw_", "trace_event_data_"))


@every_rung
def test_kernel_types_that_a_rung_declares_exist(hook: Hook, rung: Rung) -> None:
    if not btf.available():
        pytest.skip("this kernel has no BTF, or there is no libbpf to read it")
    for name in rung.types:
        known = name in headers.UAPI_TYPES or any(
            btf.find(name, kind)
            for kind in (btf.KIND_STRUCT, 5, btf.KIND_ENUM, btf.KIND_TYPEDEF, btf.KIND_ENUM64)
        )
        assert known or _optional(name), f"{hook.name}: {name}"


def _structs(source: str) -> Iterator[str]:
    yield from re.findall(r"\bstruct (\w+) \*", source)


@every_rung
def test_kernel_types_that_a_rung_uses_are_declared(hook: Hook, rung: Rung) -> None:
    """Or they would be missing in the header tree as soon as no other hook names them."""
    source = rung.source_for(_target(hook))
    own = set(re.findall(r"\bstruct (\w+) \{", source))
    undeclared = set(_structs(source)) - own - set(rung.types) - headers.UAPI_TYPES
    assert not undeclared - headers.BASE_TYPES, hook.name


@every_rung
def test_what_many_hooks_do_in_c_is_written_once(hook: Hook, rung: Rung) -> None:
    """Zero rows are bcc's lookup_or_try_init or `large_rows`; logs are `event_log`."""
    source = rung.source_for(_target(hook))
    by_hand = re.findall(r"if \(!(\w+)\) \{\s*(\w+)\.\w+\(.*\);\s*\1 = \2\.lookup", source)
    assert not by_hand, hook.name
    logged = len(re.findall(r"events\.(?:push|insert|update)\(|BPF_QUEUE", source))
    assert logged == source.count("static inline void log_event"), hook.name


# -- their files -----------------------------------------------------------------------------


@pytest.mark.parametrize("file", sorted(FOLDER.rglob("*.py")), ids=lambda p: p.name)
def test_a_hook_s_file_is_introduced_by_a_sentence(file: Any) -> None:
    doc = ast.get_docstring(ast.parse(file.read_text()))
    assert doc
    assert doc.splitlines()[0].endswith(".")


HOOK_FILES = sorted({*FOLDER.glob("[!_]*.py"), *FOLDER.glob("*/hook.py")})


@pytest.mark.parametrize("file", HOOK_FILES, ids=lambda p: str(p.relative_to(FOLDER)))
def test_a_hook_s_file_imports_from_the_toolkit_what_that_has(file: Path) -> None:
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module != "probes.toolkit":
            module = importlib.import_module(str(node.module))
            for name in (alias.name for alias in node.names):
                same = getattr(module, name, None) is getattr(toolkit, name, ())
                assert not (name in toolkit.__all__ and same), f"{name} of {node.module}"
