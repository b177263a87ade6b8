"""The user's configuration: settings, presets, themes. Imports nothing else of `tui`."""
