"""Whether data still look as they did: distances and tests, sums that merge instead of data that are kept, streams."""
