"""Hook: sources. Who sends to which port of an interface."""
