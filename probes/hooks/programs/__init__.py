"""Hook: programs. Every BPF program on this host: runs, cost, where attached, who holds it."""
