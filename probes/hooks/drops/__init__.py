"""Hook: drops. Why the kernel frees packets, by reason and place."""
