"""Hook: tcp-rtt. The round-trip times of TCP connections."""
