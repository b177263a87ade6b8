"""Hook: opens. Files that processes open."""
