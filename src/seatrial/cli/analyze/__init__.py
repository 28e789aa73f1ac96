"""``seatrial analyze``: somebody's own files and tables, without a project."""
