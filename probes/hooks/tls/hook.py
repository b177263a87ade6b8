"""TLS: handshakes of OpenSSL and GnuTLS in any process: time, failures, version. No payload."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from probes.arrays import np
from probes.columns.cells import Cells, CodedCells
from probes.columns.row_table import RowTable
from probes.model import Fields
from probes.toolkit import (
    UNCOUNTED,
    WHO,
    Hook,
    Opening,
    Program,
    Row,
    Rung,
    Unit,
    Uprobe,
    Value,
    c_source,
    counter,
    decode,
    event_log,
    everything,
    given,
    key,
    large_rows,
    latency,
    level,
    logged,
    logged_process,
    owner,
    process,
    thread_of,
)
from probes.toolkit.field_cells import cells_from
from probes.toolkit.libraries import Probed, following, own_libc
from probes.toolkit.readers import ExtraColumn
from probes.units import DASH

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SOURCE = (
    WHO
    + c_source(__file__, "rows.c")
    + everything()
    + large_rows()
    + event_log(1024)
    + UNCOUNTED
    + c_source(__file__, "handshakes.c")
)

_OPENSSL = (
    Probed("openssl_free", "SSL_free"),
    Probed("openssl_because", "SSL_get_error", returns=True),
    Probed("openssl_why", "SSL_get_error"),
    Probed("openssl_version", "SSL_get_version", returns=True),
    *(
        Probed(function, symbol, returns=function == "openssl_end")
        for symbol in ("SSL_do_handshake", "SSL_connect", "SSL_accept")
        for function in ("openssl_end", "openssl_begin")
    ),
)
_GNUTLS = (
    Probed("gnutls_free", "gnutls_deinit"),
    Probed("gnutls_version", "gnutls_protocol_get_version", returns=True),
    Probed("gnutls_end", "gnutls_handshake", returns=True),
    Probed("gnutls_begin", "gnutls_handshake"),
)
_FOLLOWED = {r"libssl\.so\.[\d.]+": _OPENSSL, r"libgnutls\.so\.[\d.]+": _GNUTLS}

_LIBRARIES = {0: DASH, 1: "openssl", 2: "gnutls"}
_GIVEN_UP = 4096
_ERRORS = {
    (1, 1): "protocol", (1, 5): "connection", (1, 6): "closed",
    (2, 9): "packet", (2, 12): "alert", (2, 43): "certificate", (2, 53): "connection",
    (2, 54): "connection", (2, 87): "no cipher", (2, 110): "closed",
}  # fmt: skip
"""SSL_ERROR_... and GNUTLS_E_... names, by library and number."""


def _entry(e: Mapping[str, Any]) -> Row:
    library, error = e["library"], e["error"]
    result = "done" if not error else "given up" if error == _GIVEN_UP else ""
    result = result or _ERRORS.get((library, error), f"error {error}")
    return (e["pid"], decode.comm(e["comm"]), _library(library), result, e["ns"])


def _libraries(numbers: NDArray[Any]) -> Cells:
    return CodedCells(np.where(numbers > max(_LIBRARIES), 0, numbers), _LIBRARIES.__getitem__)


@decode.many(_libraries)
def _library(number: Any) -> str:
    return _LIBRARIES.get(number, DASH)


def _versions(opening: Opening) -> ExtraColumn:
    """Return a reader of the version that each process was last told; many never ask."""
    table, columns = opening.tables["versions"], [c.name for c in opening.hook.stored]
    pid, comm, library = (columns.index(name) for name in ("pid", "comm", "library"))

    def by_row() -> Callable[[Row], Mapping[str, Value]]:
        found: dict[tuple[Value, ...], str] = {
            (e[0], decode.comm(e[2]), _library(e[1])): _version(e[3]) for e in table.rows()
        }
        return lambda row: {"version": found.get((row[pid], row[comm], row[library]), DASH)}

    def of_entries(entries: Fields) -> Cells:
        told = table.entries()
        if not len(told):
            return CodedCells(np.zeros(len(entries), "u8"), _version)
        at = _whose(entries).places_in(_whose(told))
        return CodedCells(np.where(at < 0, 0, told["value"][at]), _version)

    return ExtraColumn("version", by_row, of_entries, DASH)


def _version(told: int) -> str:
    """Return a version in words; 0: it was not told."""
    return f"TLS 1.{told - 1}" if told else DASH


def _whose(entries: Fields) -> RowTable:
    """Return processes and libraries, in comparable columns."""
    return RowTable(_CELLS(entries), tuple(range(len(_KEYS))))


_PID = "process that makes the handshake"
_KEYS = (*process(_PID), key("library", "Library", "openssl or gnutls", decode=_library))
_CELLS = cells_from(_KEYS)
_UNDER_WAY = {"under_way": lambda entry: int(entry[0]), "calls": thread_of, "questions": thread_of}

HOOK = Hook(
    name="tls",
    title="TLS handshakes",
    question="Which processes make TLS handshakes, how long these take, and how they fail.",
    columns=(
        *_KEYS,
        level(
            "version",
            "Version",
            "version of its latest connection, if the process asked for it",
            field=None,
        ),
        counter("handshakes", "Handshakes", "handshakes that ended"),
        counter("failed", "Failed", "handshakes that failed, for any reason"),
        counter("completed", "Completed", "handshakes that succeeded"),
        *latency("completed", "time to complete, from the first call"),
        *owner("the process"),
    ),
    ladder=(
        Rung(
            "uprobe",
            "Linux 4.20, CONFIG_UPROBES, CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN",
            following(logged(_entry, _versions, _UNDER_WAY), _FOLLOWED),
            source=_SOURCE,
            # Shows whether uprobes can be had; nothing calls this function.
            programs=(Program("idle", Uprobe(own_libc(), "lcong48")),),
        ),
    ),
    order=76,
    on_demand=True,
    log=given(
        *logged_process(_PID),
        level("library", "Library", "openssl or gnutls"),
        level("result", "Result", "done, or why it failed", width=12),
        level("ns", "Took", "from the first call to the end", Unit.NS),
        *owner("the process"),
    ),
)
