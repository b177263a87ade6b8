"""The C that counts drops: what is known of a packet when the kernel frees it as dropped."""

from __future__ import annotations

from probes.kernel import capabilities
from probes.toolkit.c_files import c_source
from probes.toolkit.counters_c import everything

MAP_ENTRIES = 4096
SENDERS = 1024
"""Senders of what is dropped on its way out that are counted, at most."""

TYPES = (
    "sk_buff",
    "net_device",
    "netdev_queue",
    "kernfs_node",
    "net",
    "ns_common",
    "sock",
    "dst_entry",
    "rtable",
    "trace_event_raw_kfree_skb",
)
_PROBED = "#define GET_probed(field) PROBE(field)\n"
_DIRECT = "#define GET_direct(field) (field)\n"


def typed(_target: str = "", *, reasons: bool = True) -> str:
    """Return the source for a BTF-typed tracepoint, which avoids helpers where it can."""
    headers = c_source(__file__, "blind.c")
    if capabilities.lockdown() != "confidentiality":
        headers = (
            "#define SKB(field) skb->field\n" + _PROBED + _of("probed", "netns.c", "headers.c")
        )
    reason = "(u32)ctx[2]" if reasons else "0"
    place = _DIRECT + _of("direct", "netns.c", "place.c")
    return _rows() + headers + place + c_source(__file__, "typed.c", REASON=reason)


def typed_without_reason(_target: str = "") -> str:
    """Return the same for kernels that give no reason."""
    return typed(reasons=False)


def raw() -> str:
    """Return the source for a raw tracepoint."""
    return _rows() + _probed() + c_source(__file__, "raw.c", REASON="(u32)ctx[2]")


def tracefs(*, reasons: bool = True) -> str:
    """Return the source for a tracepoint through tracefs."""
    reason = "ctx->reason" if reasons else "0"
    return _rows() + _probed() + c_source(__file__, "tracefs.c", REASON=reason)


def _rows() -> str:
    rows = c_source(__file__, "rows.c") + everything()
    return rows + c_source(__file__, "count.c", MAP_ENTRIES=MAP_ENTRIES, SENDERS=SENDERS)


def _probed() -> str:
    fields = "#define SKB(field) PROBE(skb->field)\n" + _PROBED
    return fields + _of("probed", "netns.c", "headers.c", "place.c", "look.c")


def _of(how: str, *files: str) -> str:
    """Return C that reads "direct" where the verifier knows the types, or "probed" by a helper."""
    return c_source(
        __file__, *files, NETNS=f"netns_{how}", NETNS_OF=f"netns_of_{how}", GET=f"GET_{how}"
    )
