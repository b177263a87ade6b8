"""What is wrong, and the calm rest: one row for each cause, and one for each pane without."""
