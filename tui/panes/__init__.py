"""One file per pane: a module with a PANE is a pane."""
