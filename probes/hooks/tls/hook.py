"""TLS: handshakes of OpenSSL and GnuTLS in any process: time, failures, version. No payload."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from probes.attach.uprobe import Uprobe
from probes.model import Column, Hook, Kind, Opening, Program, Row, Rung, Value
from probes.toolkit import columns, decode
from probes.toolkit.columns import latency
from probes.toolkit.counters_c import UNCOUNTED, everything
from probes.toolkit.libraries import Probed, following, own_libc
from probes.toolkit.readers import logged, thread_of
from probes.toolkit.who_c import WHO
from probes.units import Unit

# A handshake may take several calls: it begins with the first one on a session, and each call
# decides it or not. OpenSSL says by SSL_get_error whether a call that returned -1 only has to wait;
# a session that is freed before that was given up. A call within another one (SSL_connect calls
# SSL_do_handshake) is of the same session, and decides it once.
_SOURCE = (
    WHO
    + """
#define OPENSSL 1
#define GNUTLS 2
#define GIVEN_UP 4096
struct who { u64 pid, library; char comm[16]; };
struct slot { u64 handshakes, failed, completed, total_ns, latency[40]; };
struct session { u64 pid, object; };
struct begin { u64 at, undecided; };
struct event { u64 ns, pid, library, error; char comm[16]; };
BPF_TABLE("lru_hash", struct who, struct slot, rows, 4096);
BPF_TABLE("hash", struct session, struct begin, under_way, 8192);
BPF_TABLE("hash", u64, u64, calls, 4096);
BPF_TABLE("hash", u64, u64, questions, 4096);
BPF_TABLE("lru_hash", struct who, u64, versions, 4096);
BPF_TABLE("percpu_array", u32, struct slot, blank, 1);
BPF_TABLE("array", u32, u64, lost, 1);
BPF_QUEUE(events, struct event, 1024);
"""
    + everything()
    + UNCOUNTED
    + """

static inline void who_is(struct who *who, u64 library) {
    who->pid = this_pid();
    who->library = library;
    this_name(who->comm);
}

static inline void called(u64 object) {
    u64 thread = bpf_get_current_pid_tgid();
    struct session session = {.pid = thread >> 32, .object = object};
    struct begin now = {.at = bpf_ktime_get_ns()};
    under_way.insert(&session, &now);
    if (!under_way.lookup(&session) || calls.update(&thread, &object))
        not_counted();
}

static inline void decided(struct session *session, u64 library, u64 error) {
    struct begin *begun = under_way.lookup(session);
    struct event event = {.library = library, .error = error};
    struct who key = {};
    struct slot *slot, *zero, *all = sum_of_all();
    u32 first = 0;
    u64 *missed;
    if (!begun)
        return;
    event.ns = bpf_ktime_get_ns() - begun->at;
    under_way.delete(session);
    who_is(&key, library);
    event.pid = key.pid;
    __builtin_memcpy(event.comm, key.comm, 16);
    slot = rows.lookup(&key);
    if (!slot && (zero = blank.lookup(&first))) {
        rows.insert(&key, zero);
        slot = rows.lookup(&key);
    }
    u64 bucket = bucket_of(event.ns, 40);
    TALLY(slot, all, handshakes, 1);
    if (error) {
        TALLY(slot, all, failed, 1);
    } else {
        TALLY(slot, all, completed, 1);
        TALLY(slot, all, total_ns, event.ns);
        TALLY(slot, all, latency[bucket], 1);
    }
    if (events.push(&event, 0) && (missed = lost.lookup(&first)))
        ADD(missed, 1);
}

static inline void given_up(u64 object, u64 library) {
    struct session session = {.pid = bpf_get_current_pid_tgid() >> 32, .object = object};
    decided(&session, library, GIVEN_UP);
}

static inline void version(u64 library, u64 number) {
    struct who key = {};
    who_is(&key, library);
    versions.update(&key, &number);
}

int openssl_begin(struct pt_regs *ctx) { called(PT_REGS_PARM1(ctx)); return 0; }
int openssl_end(struct pt_regs *ctx) {
    u64 thread = bpf_get_current_pid_tgid(), *object = calls.lookup(&thread);
    struct session session = {.pid = thread >> 32};
    struct begin *begun;
    int result = PT_REGS_RC(ctx);
    if (!object)
        return 0;
    session.object = *object;
    calls.delete(&thread);
    if (result >= 0)
        decided(&session, OPENSSL, !result);
    else if ((begun = under_way.lookup(&session)))
        begun->undecided = 1;
    return 0;
}
int openssl_why(struct pt_regs *ctx) {
    u64 thread = bpf_get_current_pid_tgid();
    struct session session = {.pid = thread >> 32, .object = PT_REGS_PARM1(ctx)};
    struct begin *begun = under_way.lookup(&session);
    if (begun && begun->undecided && questions.update(&thread, &session.object))
        not_counted();
    return 0;
}
int openssl_because(struct pt_regs *ctx) {
    u64 thread = bpf_get_current_pid_tgid(), *object = questions.lookup(&thread);
    struct session session = {.pid = thread >> 32};
    int error = PT_REGS_RC(ctx);
    if (!object)
        return 0;
    session.object = *object;
    questions.delete(&thread);
    if (error == 1 || error == 5 || error == 6) /* SSL_ERROR_SSL, _SYSCALL, _ZERO_RETURN */
        decided(&session, OPENSSL, error);
    return 0;
}
int openssl_free(struct pt_regs *ctx) { given_up(PT_REGS_PARM1(ctx), OPENSSL); return 0; }
int openssl_version(struct pt_regs *ctx) {
    char name[8] = {}; /* TLSv1, TLSv1.3 */
    bpf_probe_read_user(name, 7, (void *)PT_REGS_RC(ctx));
    if (name[0] == 'T')
        version(OPENSSL, name[5] == '.' ? 1 + name[6] - '0' : 1);
    return 0;
}

int gnutls_begin(struct pt_regs *ctx) { called(PT_REGS_PARM1(ctx)); return 0; }
int gnutls_end(struct pt_regs *ctx) {
    u64 thread = bpf_get_current_pid_tgid(), *object = calls.lookup(&thread);
    struct session session = {.pid = thread >> 32};
    int result = PT_REGS_RC(ctx);
    if (!object)
        return 0;
    session.object = *object;
    calls.delete(&thread);
    /* GNUTLS_E_AGAIN, _INTERRUPTED, _WARNING_ALERT_RECEIVED, _GOT_APPLICATION_DATA */
    if (result != -28 && result != -52 && result != -16 && result != -38)
        decided(&session, GNUTLS, result < 0 ? -(s64)result : 0);
    return 0;
}
int gnutls_free(struct pt_regs *ctx) { given_up(PT_REGS_PARM1(ctx), GNUTLS); return 0; }
int gnutls_version(struct pt_regs *ctx) {
    int number = PT_REGS_RC(ctx); /* GNUTLS_TLS1_0 is 2 */
    if (number >= 2 && number <= 5)
        version(GNUTLS, number - 1);
    return 0;
}
int idle(struct pt_regs *ctx) { return 0; }
"""
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

_LIBRARIES = {1: "openssl", 2: "gnutls"}
_GIVEN_UP = 4096
_ERRORS = {
    (1, 1): "protocol", (1, 5): "connection", (1, 6): "closed",
    (2, 9): "packet", (2, 12): "alert", (2, 43): "certificate", (2, 53): "connection",
    (2, 54): "connection", (2, 87): "no cipher", (2, 110): "closed",
}  # fmt: skip
"""SSL_ERROR_... and GNUTLS_E_..., by library and number."""


def _library(number: Any) -> str:
    return _LIBRARIES.get(number, "-")


def _entry(e: Mapping[str, Any]) -> Row:
    library, error = e["library"], e["error"]
    result = "done" if not error else "given up" if error == _GIVEN_UP else ""
    result = result or _ERRORS.get((library, error), f"error {error}")
    return (e["pid"], decode.comm(e["comm"]), _library(library), result, e["ns"])


def _versions(opening: Opening) -> Callable[[], Callable[[Row], Mapping[str, Value]]]:
    """The version that a process was told last; many never ask."""
    table, columns = opening.tables["versions"], [c.name for c in opening.hook.stored]
    pid, comm, library = (columns.index(name) for name in ("pid", "comm", "library"))

    def known() -> Callable[[Row], Mapping[str, Value]]:
        found: dict[tuple[Value, ...], str] = {
            (e[0], decode.comm(e[2]), _library(e[1])): f"TLS 1.{e[3] - 1}" for e in table.rows()
        }
        return lambda row: {"version": found.get((row[pid], row[comm], row[library]), "-")}

    return known


_PID = "process that shakes hands"
_UNDER_WAY = {"under_way": lambda entry: int(entry[0]), "calls": thread_of, "questions": thread_of}

HOOK = Hook(
    name="tls",
    title="TLS handshakes",
    answers="Which processes make TLS handshakes, how long these take, and how they fail.",
    columns=(
        *columns.process(_PID),
        Column(
            "library", "Library", kind=Kind.KEY, field="library", decode=_library, width=8,
            help="openssl or gnutls",
        ),
        Column(
            "version", "Version", width=8,
            help="of its latest connection, where the process asked for it",
        ),
        Column(
            "handshakes", "Handshakes", Unit.COUNT, Kind.COUNTER, "handshakes",
            help="that came to an end",
        ),
        Column("failed", "Failed", Unit.COUNT, Kind.COUNTER, "failed", help="that failed, any way"),
        Column(
            "completed", "Completed", Unit.COUNT, Kind.COUNTER, "completed", help="that succeeded"
        ),
        *latency("completed", "time to complete, from the first call"),
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
    log=(
        Column("pid", "Pid", Unit.NUMBER, width=7, help=_PID),
        Column("comm", "Command", width=16, help="its name at that moment"),
        Column("library", "Library", width=8, help="openssl or gnutls"),
        Column("result", "Result", width=12, help="done, or why it failed"),
        Column("ns", "Took", Unit.NS, help="from the first call to its end"),
    ),
)  # fmt: skip
