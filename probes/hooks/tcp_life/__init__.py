"""Hook `tcp-life`: TCP connections from their beginning to their end."""
