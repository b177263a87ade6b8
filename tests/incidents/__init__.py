"""ONE FILE PER STORY, found by name: what is set up, what is wrong, what must be said of it."""
