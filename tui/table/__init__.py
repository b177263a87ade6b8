"""Lines, fields and filters: what tables are made of, as values. Imports `config` only."""
