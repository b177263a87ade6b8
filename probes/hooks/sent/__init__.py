"""Hook: sent. Bytes that processes send by TCP and UDP."""
