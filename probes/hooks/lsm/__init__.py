"""Hook: lsm. Security decisions, by process."""
