"""Hook: xdp-errors. Packets that XDP programs lost."""
