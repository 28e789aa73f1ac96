"""``seatrial model``: models, their versions, and how careful to be with them."""
