"""Hook: dns. Names that processes look up."""
