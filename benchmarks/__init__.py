"""What seatrial costs, beside what others cost doing the same work: ``make bench``."""
