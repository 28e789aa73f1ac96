"""``seatrial cadence``: how often to train, and on how much."""
