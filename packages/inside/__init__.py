"""What is in the one file beside ebpftop: `main`, its __main__, and `unpacking`."""
