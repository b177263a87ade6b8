"""Hook `lsm`: security decisions, by process."""
