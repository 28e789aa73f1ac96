"""``seatrial calc``: the numbers of the textbook on the command line."""
