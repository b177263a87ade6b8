"""What pane files are written with. Imports `widgets`, `session` and what stands before them."""
