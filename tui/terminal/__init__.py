"""Everything specific to Textual and to terminals. Imports `table` and the packages before it."""
