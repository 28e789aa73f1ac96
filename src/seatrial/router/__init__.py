"""The gateway's decision inside a Python service that calls its models itself. Standard library and xxhash only.

``seatrial.Router`` is all there is to call; ``docs/router.md`` is its chapter.
"""

from seatrial.router.places import Assignment
from seatrial.router.router import Prediction, Router

__all__ = ["Assignment", "Prediction", "Router"]
