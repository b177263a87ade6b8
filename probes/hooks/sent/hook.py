"""Sent: bytes that processes send by TCP and UDP, as their calls hand them to the kernel."""

from __future__ import annotations

from typing import Any

from probes.attach.kprobe import FEW_RETURNS, Kprobe, Kretprobe
from probes.attach.tracepoint import BtfTracepoint
from probes.attach.trampoline import Fexit
from probes.model import Column, Hook, Kind, Program, Rung
from probes.toolkit import columns
from probes.toolkit.counters_c import UNCOUNTED, everything
from probes.toolkit.decode import packet_protocol
from probes.toolkit.readers import by_columns
from probes.toolkit.restarts import RESTARTS
from probes.toolkit.who_c import WHO
from probes.units import Unit

_LOADS = "CAP_BPF, CAP_PERFMON"
_TYPES = ("sock",)
_COUNT = (
    WHO
    + RESTARTS
    + """
struct who { u64 pid, protocol; char comm[16]; };
struct slot { u64 bytes, sends, failed; };
BPF_TABLE("lru_percpu_hash", struct who, struct slot, rows, 8192);
"""
    + everything()
    + """

static inline void sent(u64 protocol, int result) {
    if (restarts(result)) /* a signal came, it is begun again */
        return;
    struct who key = {.pid = this_pid(), .protocol = protocol};
    struct slot none = {}, *slot, *all = sum_of_all();
    this_name(key.comm);
    slot = rows.lookup(&key);
    if (!slot) {
        rows.insert(&key, &none);
        slot = rows.lookup(&key);
    }
    /* Tasks on one CPU take turns, also in the middle of this. */
    TALLY(slot, all, sends, 1);
    if (result < 0)
        TALLY(slot, all, failed, 1);
    else
        TALLY(slot, all, bytes, result);
}

static inline int counts(u16 family, u16 protocol) {
    return (family == AF_INET || family == AF_INET6) &&
           (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP);
}
"""
)
# Of a socket in a sockhash, ours (sk-msg) or somebody's, calls go to tcp_bpf_sendmsg instead.
# A call on an IPv6 socket to an IPv4 address goes through udp_sendmsg within udpv6_sendmsg: the
# inner one is on a socket of IPv6, and is left to the outer one.
_FEXIT = """
int tcp_sent(u64 *ctx) { sent(IPPROTO_TCP, ctx[3]); return 0; }
int tcp_page_sent(u64 *ctx) { sent(IPPROTO_TCP, ctx[5]); return 0; }
int tcp_bpf_sent(u64 *ctx) { sent(IPPROTO_TCP, ctx[3]); return 0; }
int tls_sent(u64 *ctx) { sent(IPPROTO_TCP, ctx[3]); return 0; }
int tls_page_sent(u64 *ctx) { sent(IPPROTO_TCP, ctx[5]); return 0; }
int mptcp_sent(u64 *ctx) { sent(IPPROTO_TCP, ctx[3]); return 0; }
int udp_sent(u64 *ctx) {
    struct sock *sk = ARG(ctx, 0, struct sock *);
    if (sk->__sk_common.skc_family == AF_INET && sk->sk_protocol == IPPROTO_UDP)
        sent(IPPROTO_UDP, ctx[3]);
    return 0;
}
int udp6_sent(u64 *ctx) {
    if (ARG(ctx, 0, struct sock *)->sk_protocol == IPPROTO_UDP)
        sent(IPPROTO_UDP, ctx[3]);
    return 0;
}
"""
_KPROBE = (
    UNCOUNTED
    + """
BPF_TABLE("hash", u64, u64, inside, 8192);

int tcp_sent(struct pt_regs *ctx) { sent(IPPROTO_TCP, PT_REGS_RC(ctx)); return 0; }
int tcp_page_sent(struct pt_regs *ctx) { sent(IPPROTO_TCP, PT_REGS_RC(ctx)); return 0; }
int tcp_bpf_sent(struct pt_regs *ctx) { sent(IPPROTO_TCP, PT_REGS_RC(ctx)); return 0; }
int tls_sent(struct pt_regs *ctx) { sent(IPPROTO_TCP, PT_REGS_RC(ctx)); return 0; }
int tls_page_sent(struct pt_regs *ctx) { sent(IPPROTO_TCP, PT_REGS_RC(ctx)); return 0; }
int mptcp_sent(struct pt_regs *ctx) { sent(IPPROTO_TCP, PT_REGS_RC(ctx)); return 0; }
int udp_sent(struct pt_regs *ctx) {
    u64 thread = bpf_get_current_pid_tgid();
    if (!inside.lookup(&thread))
        sent(IPPROTO_UDP, PT_REGS_RC(ctx));
    return 0;
}
int udp6_begins(struct pt_regs *ctx) {
    u64 thread = bpf_get_current_pid_tgid(), yes = 1;
    if (inside.update(&thread, &yes))
        not_counted();
    return 0;
}
int udp6_sent(struct pt_regs *ctx) {
    u64 thread = bpf_get_current_pid_tgid();
    inside.delete(&thread);
    sent(IPPROTO_UDP, PT_REGS_RC(ctx));
    return 0;
}
"""
)
_TYPED = """
int any_sent(u64 *ctx) {
    struct sock *sk = ARG(ctx, 0, struct sock *);
    u16 protocol = sk->sk_protocol == 262 /* MPTCP */ ? IPPROTO_TCP : sk->sk_protocol;
    if (counts(sk->__sk_common.skc_family, protocol))
        sent(protocol, ctx[1]);
    return 0;
}
"""
_MAPPED = "what goes through programs on messages (sk_msg) is not seen"
_PAGES = "what sendfile() sends by a way of its own (before Linux 6.5) is not seen"
_TLS = "what the kernel encrypts (kTLS) is not seen"
_TLS_PAGES = (
    "what sendfile() has encrypted (kTLS) by a way of its own (before Linux 6.5) is not seen"
)
_CARD = "what a network card encrypts (kTLS) is not seen"
_LITE = "UDP-Lite is counted as UDP"
_MPTCP = "what is sent by MPTCP is not seen"


def _protocol(number: Any) -> str:
    return packet_protocol(0x0800 << 8 | number)


HOOK = Hook(
    name="sent",
    title="Bytes sent",
    answers="How many bytes each process sends by TCP and UDP.",
    columns=(
        *columns.process("process that sends"),
        Column(
            "protocol", "Proto", kind=Kind.KEY, field="protocol", decode=_protocol, width=6,
            help="tcp or udp",
        ),
        Column(
            "bytes", "Bytes", Unit.BYTES, Kind.COUNTER, "bytes",
            help="payload that the kernel took from its calls",
        ),
        Column("sends", "Sends", Unit.COUNT, Kind.COUNTER, "sends", help="calls that send"),
        Column(
            "failed", "Failed", Unit.COUNT, Kind.COUNTER, "failed",
            help="that gave an errno; not what a signal ended",
        ),
    ),
    ladder=(
        Rung(
            "fentry",
            f"Linux 5.5, BTF, {_LOADS}",
            by_columns(),
            source=_COUNT + _FEXIT,
            types=_TYPES,
            programs=(
                Program("tcp_sent", Fexit("tcp_sendmsg")),
                Program("udp_sent", Fexit("udp_sendmsg")),
                Program("udp6_sent", Fexit("udpv6_sendmsg")),
                Program("tcp_bpf_sent", Fexit("tcp_bpf_sendmsg"), True, _MAPPED),
                Program("tcp_page_sent", Fexit("tcp_sendpage"), True, _PAGES),
                Program("tls_sent", Fexit("tls_sw_sendmsg"), True, _TLS),
                Program("tls_page_sent", Fexit("tls_sw_sendpage"), True, _TLS_PAGES),
                Program("mptcp_sent", Fexit("mptcp_sendmsg"), True, _MPTCP),
            ),
            misses=_CARD,
        ),
        Rung(
            "kprobe",
            f"Linux 4.17, CONFIG_KPROBES, {_LOADS}",
            by_columns(),
            source=_COUNT + _KPROBE,
            types=_TYPES,
            programs=(
                Program("tcp_sent", Kretprobe("tcp_sendmsg")),
                Program("udp_sent", Kretprobe("udp_sendmsg")),
                Program("udp6_sent", Kretprobe("udpv6_sendmsg")),
                Program("udp6_begins", Kprobe("udpv6_sendmsg", arguments=False)),
                Program("tcp_bpf_sent", Kretprobe("tcp_bpf_sendmsg"), True, _MAPPED),
                Program("tcp_page_sent", Kretprobe("tcp_sendpage"), True, _PAGES),
                Program("tls_sent", Kretprobe("tls_sw_sendmsg"), True, _TLS),
                Program("tls_page_sent", Kretprobe("tls_sw_sendpage"), True, _TLS_PAGES),
                Program("mptcp_sent", Kretprobe("mptcp_sendmsg"), True, _MPTCP),
            ),
            misses=f"{FEW_RETURNS}; {_CARD}; {_LITE}",
        ),
        Rung(
            "btf-tracepoint",
            f"Linux 6.3, BTF, {_LOADS}",
            by_columns(),
            source=_COUNT + _TYPED,
            types=_TYPES,
            programs=(Program("any_sent", BtfTracepoint("sock_send_length")),),
            misses=_PAGES,
        ),
    ),
    order=72,
    on_demand=True,
)  # fmt: skip
