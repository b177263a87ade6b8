"""Hook: tcp-connect. Connection attempts: made, failed, how long they took."""
