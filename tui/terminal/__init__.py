"""Everything that is particular to Textual and to terminals. Imports `table` and before."""
