"""What tests share: devices, namespaces, events, the guests of the matrix. No tests."""
