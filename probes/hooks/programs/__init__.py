"""Hook `programs`: every BPF program on this host: runs, cost, attach points, holders."""
