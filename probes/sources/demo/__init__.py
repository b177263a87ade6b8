"""The source that needs no kernel: a scripted incident."""
