"""``seatrial change``."""
