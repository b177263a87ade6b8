"""Lines, fields and filters: what a table is made of, as values. Imports `config` only."""
