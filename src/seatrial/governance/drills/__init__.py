"""Drills: the way home is rehearsed on purpose, on a schedule, and judged from its evidence alone."""
