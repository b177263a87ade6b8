"""Hook: execs. Programs that processes start."""
