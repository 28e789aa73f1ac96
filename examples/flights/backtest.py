"""Trains the delay model for one cut-off and says what it loses in each period: a command for ``seatrial cadence``.

    seatrial cadence compare 14d 56d --cost 20 --window 60d --from 2013-05-01 --until 2013-10-16 \\
        --run "python examples/flights/backtest.py"

``--sample N`` keeps every Nth flight, for a quick look.
"""

from __future__ import annotations

import argparse
import json
import os
from datetime import UTC, datetime
from pathlib import Path

from sklearn.metrics import log_loss

from seatrial.demo import flights, train

FIRST = datetime(2013, 1, 1, tzinfo=UTC)
LEAST = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=1, metavar="N")
    sample = parser.parse_args().sample
    until = datetime.fromisoformat(os.environ["SEATRIAL_TRAIN_UNTIL"])
    since = os.environ["SEATRIAL_TRAIN_FROM"]
    seen = train.training_rows(datetime.fromisoformat(since) if since else FIRST, until)[::sample]
    model = train.fit(seen)
    losses = [
        loss(model, datetime.fromisoformat(start), datetime.fromisoformat(end), sample)
        for start, end in json.loads(os.environ["SEATRIAL_PERIODS"])
    ]
    answer = {
        "losses": losses,
        "rows": len(seen),
        "first": seen.event_time.min().isoformat(),
        "last": seen.event_time.max().isoformat(),
        "known": seen.outcome_time.max().isoformat(),
    }
    Path(os.environ["SEATRIAL_RESULT"]).write_text(json.dumps(answer))


def loss(model: train.Pipeline, start: datetime, end: datetime, sample: int) -> float | None:
    """Log loss on the flights of a period whose outcome came; None for too few."""
    rows = flights.load(start, end)[::sample]
    rows = rows[rows.delayed.notna()]
    if len(rows) < LEAST:
        return None
    return float(log_loss(rows.delayed.astype(int), model.predict_proba(rows[list(flights.FEATURES)])[:, 1]))


if __name__ == "__main__":
    main()
