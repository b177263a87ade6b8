"""The API for pane files. Imports `widgets`, `session` and the packages before them."""
