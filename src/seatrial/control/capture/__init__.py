"""What was captured becomes parts: read, counted, rotated, kept and erased."""
