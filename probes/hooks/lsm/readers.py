"""Readers of the rungs of lsm, and the objects of checks in words."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from probes.arrays import np
from probes.columns.cells import Cells, NumberCells
from probes.columns.numbered import shared_texts
from probes.errors import ProbeError, Unsupported
from probes.hooks.lsm.source import NAMES, NOTHING
from probes.kernel import btf
from probes.model import Fields, Flat, Opening, Reading, Row
from probes.toolkit.counters_c import counted
from probes.toolkit.decode import comm, errno_name, family, named
from probes.toolkit.field_cells import Maker, cells_from
from probes.toolkit.others import Others
from probes.toolkit.readers import Uncounted, filled, record, row_of
from probes.units import DASH

_LIST = Path("/sys/kernel/security/lsm")
_REMEDY = "Boot with a parameter lsm= that has bpf in its list (see {0})."
# include/uapi/linux/capability.h, from 0 on
_CAPABILITIES = """\
chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable
net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot
sys_ptrace sys_pacct sys_admin sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease
audit_write audit_control setfcap mac_override mac_admin syslog wake_alarm block_suspend audit_read
perfmon bpf checkpoint_restore"""


def unlisted() -> ProbeError | None:
    """Return the refusal where the kernel's list of security modules is readable and lacks bpf."""
    try:
        listed = _LIST.read_text().strip().split(",")
    except OSError:
        return None  # securityfs is not mounted, or not for us: an event will tell
    return None if "bpf" in listed else _never_asked()


def _never_asked() -> Unsupported:
    return Unsupported(
        "programs can be attached, but bpf is not in the kernel's list of security modules",
        remedy=_REMEDY.format(_LIST),
    )


def open_hooks(opening: Opening) -> Callable[[], Reading]:
    """Open the programs at hooks, and check that they see a file being opened.

    An attached program is not necessarily called.
    """
    rows = opening.tables["rows"]
    os.close(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC))
    if not any(record(rows, entry)["asked"] for entry in rows.rows()):
        raise _never_asked()
    return open_checks(opening)


def open_checks(opening: Opening) -> Callable[[], Reading]:
    """Return a reader of rows from `rows`, denials from `events`.

    Programs at the exit of the function that calls a hook see more than programs at the hook
    itself.
    """
    table, columns = opening.tables["rows"], opening.hook.stored
    row, lost, others = row_of(columns, table), opening.tables["lost"], Others(opening)
    cells = cells_from(columns, _given())
    uncounted = Uncounted(opening, {"calling": lambda entry: int(entry[0]) >> 8 & 0xFFFFFFFF})

    def made(entry: Flat) -> Row:
        e = record(table, entry)
        known = {
            "what": what(e["op"], e["what"]),
            "checks": max(e["asked"], e["checked"]),
            "denied": max(e["refused"], e["denied"]),
        }
        return filled(columns, row(entry), known)

    def read() -> Reading:
        log = [
            _denial(record(opening.tables["events"], e)) for e in opening.tables["events"].drain()
        ]
        others.before()
        rows = others.many(table.entries(), made, cells)
        return Reading(rows, uncounted.read(), log, counted(lost))

    return read


def _given() -> Mapping[str, Maker]:
    """Return the same three as columns."""

    def objects(entries: Fields) -> Cells:
        return shared_texts().by_values(what, entries["op"], entries["what"])

    return {
        "what": objects,
        "checks": lambda e: NumberCells(np.maximum(e["asked"], e["checked"])),
        "denied": lambda e: NumberCells(np.maximum(e["refused"], e["denied"])),
    }


def check(number: object) -> str:
    assert isinstance(number, int)
    return named(NAMES, number)


def what(op: int, number: int) -> str:
    """Return the object of a check in words.

    A capability, a command of bpf(2), a family, a mode.
    """
    if number == NOTHING:
        return DASH
    match named(NAMES, op):
        case "open":
            return named(("read", "write", "read-write", "no access"), number)
        case "connect":
            return family(number)
        case "bpf":
            return _enum("bpf_cmd", "BPF_", number)
        case "read-file":
            return _enum("kernel_read_file_id", "READING_", number)
        case "load-data":
            return _enum("kernel_load_data_id", "LOADING_", number)
        case "ptrace":
            return {1: "read", 2: "attach"}.get(number, str(number))
        case "capable":
            return _capability(number)
        case _:
            return str(number)


def _capability(number: int) -> str:
    names = _CAPABILITIES.split()
    return names[number] if number < len(names) else f"capability {number}"


def _enum(name: str, prefix: str, number: int) -> str:
    return btf.enum(name).get(number, str(number)).removeprefix(prefix).lower()


def _denial(e: dict[str, int]) -> Row:
    pid, uid, asked = e["pid"], e["uid"], what(e["op"], e["what"])
    return pid, comm(e["comm"]), uid, check(e["op"]), asked, errno_name(e["error"])
