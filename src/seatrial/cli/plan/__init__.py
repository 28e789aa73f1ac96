"""``seatrial plan``: check a plan, and see what it means before anything starts."""
