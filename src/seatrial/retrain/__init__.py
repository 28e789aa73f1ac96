"""When to train again: what it costs to wait, what starts a run, and what must not."""
