"""Text, JSON, CSV and SVG of snapshots. Runs without Textual; never imports `table`."""
