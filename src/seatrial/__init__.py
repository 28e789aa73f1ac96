"""seatrial: progressive delivery for machine-learning models.

>>> import seatrial as st
>>> st.Client(gateway="http://127.0.0.1:8710").gateway
'http://127.0.0.1:8710'
"""

from seatrial.client import Answer, Client, OutcomesRefused, outcome
from seatrial.features import log_features
from seatrial.interleaving import Interleaved, interleave
from seatrial.router import Assignment, Prediction, Router
from seatrial.sender import OutcomeSender, flush, log_outcome

__version__ = "0.1.0"
__all__ = [
    "Answer", "Assignment", "Client", "Interleaved", "OutcomeSender", "OutcomesRefused", "Prediction", "Router",
    "__version__", "flush", "interleave", "log_features", "log_outcome", "outcome",
]  # fmt: skip
