"""The C that programs share which look into packets: who it is from, what it is, where to.

`AT_XDP` and `OF_SKB` are the same parser for the two kinds of context. An address is 16 bytes,
an IPv4 one as ::ffff:a.b.c.d.
"""

from probes.toolkit.c_files import c_source

AT_XDP = c_source(__file__, "packets_xdp.h", "packets.h")
OF_SKB = c_source(__file__, "packets_skb.h", "packets.h")
