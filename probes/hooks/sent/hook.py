"""Sent: bytes that processes send by TCP and UDP, as their calls pass them to the kernel."""

from __future__ import annotations

from typing import Any

from probes.attach.kprobe import FEW_RETURNS
from probes.toolkit import (
    UNCOUNTED,
    WHO,
    BtfTracepoint,
    Fexit,
    Hook,
    Kprobe,
    Kretprobe,
    Program,
    Rung,
    by_columns,
    byte_count,
    c_source,
    counter,
    everything,
    key,
    owner,
    packet_protocol,
    process,
)
from probes.toolkit.restarts import RESTARTS

_LOADS = "CAP_BPF, CAP_PERFMON"
_TYPES = ("sock",)
_COUNT = (
    WHO + RESTARTS + c_source(__file__, "rows.c") + everything() + c_source(__file__, "count.c")
)
_FEXIT = c_source(__file__, "fexit.c")
_KPROBE = UNCOUNTED + c_source(__file__, "kprobe.c")
_TYPED = c_source(__file__, "typed.c")
_MAPPED = "messages that pass sk_msg programs are not seen"
_PAGES = "data that sendfile() sends without copying (before Linux 6.5) is not seen"
_TLS = "data that the kernel encrypts (kTLS) is not seen"
_TLS_PAGES = "kTLS data that sendfile() sends without copying (before Linux 6.5) is not seen"
_CARD = "data that a network card encrypts (kTLS) is not seen"
_LITE = "UDP-Lite is counted as UDP"
_MPTCP = "data sent by MPTCP is not seen"


def _protocol(number: Any) -> str:
    return packet_protocol(0x0800 << 8 | number)


HOOK = Hook(
    name="sent",
    title="Bytes sent",
    question="How many bytes each process sends by TCP and UDP.",
    columns=(
        *process("process that sends"),
        key("protocol", "Proto", "tcp or udp", decode=_protocol, width=6),
        byte_count("bytes", "Bytes", "payload that the kernel accepted from these calls"),
        counter("sends", "Sends", "calls that send"),
        counter(
            "failed",
            "Failed",
            "calls that returned an error; those that a signal interrupted do not count",
        ),
        *owner("the process"),
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
                Program("tcp_sent", Fexit("tcp_bpf_sendmsg"), True, _MAPPED),
                Program("tcp_page_sent", Fexit("tcp_sendpage"), True, _PAGES),
                Program("tcp_sent", Fexit("tls_sw_sendmsg"), True, _TLS),
                Program("tcp_page_sent", Fexit("tls_sw_sendpage"), True, _TLS_PAGES),
                Program("tcp_sent", Fexit("mptcp_sendmsg"), True, _MPTCP),
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
                Program("udp_begins", Kprobe("udp_sendmsg")),
                Program("tcp_sent", Kretprobe("tcp_bpf_sendmsg"), True, _MAPPED),
                Program("tcp_sent", Kretprobe("tcp_sendpage"), True, _PAGES),
                Program("tcp_sent", Kretprobe("tls_sw_sendmsg"), True, _TLS),
                Program("tcp_sent", Kretprobe("tls_sw_sendpage"), True, _TLS_PAGES),
                Program("tcp_sent", Kretprobe("mptcp_sendmsg"), True, _MPTCP),
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
)
