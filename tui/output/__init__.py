"""Text, JSON, CSV and SVG of snapshots. Runs without Textual. Imports `table` never."""
