"""Hook `tcp-connect`: connection attempts, made and failed, and how long they took."""
