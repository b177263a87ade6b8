"""What a user settles: settings, presets, themes. Imports nothing else of `tui`."""
