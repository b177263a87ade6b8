"""What keys do: one file per group of keys."""
