"""Hook `drops`: why the kernel frees packets, by reason and place."""
