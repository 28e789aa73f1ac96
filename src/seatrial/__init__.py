"""seatrial: progressive delivery for machine-learning models.

>>> import seatrial as st
>>> st.Client(gateway="http://127.0.0.1:8710").gateway
'http://127.0.0.1:8710'
"""

from seatrial.client import Answer, Client, OutcomesRefused, outcome
from seatrial.sender import OutcomeSender, flush, log_outcome

__version__ = "0.1.0"
__all__ = ["Answer", "Client", "OutcomeSender", "OutcomesRefused", "__version__", "flush", "log_outcome", "outcome"]
