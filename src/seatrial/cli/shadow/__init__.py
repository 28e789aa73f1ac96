"""``seatrial shadow``: what a candidate made of the requests that users sent to the champion."""
