"""Hook: protocols. Protocols of an interface's packets."""
