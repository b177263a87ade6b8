"""Hook: sk-msg. Messages that processes hand to local TCP sockets."""
