"""``seatrial audit``: the log, its anchors, and what is exported of it."""
