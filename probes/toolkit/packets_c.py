"""The C shared by programs that parse packets: the sender, the protocol, the destination.

`AT_XDP` and `OF_SKB` are the same parser for the two kinds of context. An address is 16 bytes, an
IPv4 one as ::ffff:a.b.c.d.
"""

from probes.toolkit.c_files import c_source

AT_XDP = c_source(__file__, "packets_xdp.h", "packets.h")
OF_SKB = c_source(__file__, "packets_skb.h", "packets.h")
