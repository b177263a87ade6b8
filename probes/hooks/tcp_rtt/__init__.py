"""Hook `tcp-rtt`: round-trip times of TCP connections."""
