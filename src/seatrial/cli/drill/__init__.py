"""``seatrial drill``: the way home is rehearsed on purpose."""
