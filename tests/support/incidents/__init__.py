"""Incidents that are staged for `bench.incidents`: the stage, its actors, and the stories."""
