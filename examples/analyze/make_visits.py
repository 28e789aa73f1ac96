"""A shop's log of eight days as CSV, for `seatrial analyze canary`: v8 took over 10% of the users, then 50%.

    python make_visits.py visits.csv            v8 is as good as v7
    python make_visits.py visits.csv --worse    v8 sells 10% less

The data are made up, and the same each time.
"""

import csv
import hashlib
import math
import random
import sys
from datetime import UTC, datetime, timedelta

BEGIN, RAMP, DAYS = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 4, tzinfo=UTC), 8
USERS, VISITS = 20_000, 50_000


def main(path: str, sales: float) -> None:
    rng = random.Random(29)
    tastes = [rng.gauss(0.0, 0.5) for _ in range(USERS)]
    moments = sorted(rng.random() for _ in range(VISITS))
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["user", "version", "time", "country", "prediction", "latency_ms", "failed", "bought"])
        for moment in moments:
            user = rng.randrange(USERS)
            time = BEGIN + timedelta(days=DAYS) * moment
            place = int(hashlib.sha256(f"release-8:{user}".encode()).hexdigest(), 16) % 100
            version = "v8" if place < (50 if time >= RAMP else 10) else "v7"
            odds = -0.4 + tastes[user] + 0.3 * math.sin(time.hour / 24 * 2 * math.pi)
            chance = 1 / (1 + math.exp(-odds))
            bought = rng.random() < chance * (sales if version == "v8" else 1.0)
            latency = rng.lognormvariate(3.5, 0.4)
            failed = rng.random() < 0.0005
            country = ("DE", "FR", "PL")[user % 3]
            row = [f"u{user}", version, f"{time:%Y-%m-%d %H:%M:%S}", country, f"{chance:.4f}", f"{latency:.1f}"]
            writer.writerow([*row, int(failed), int(bought)])


if __name__ == "__main__":
    main(sys.argv[1], sales=0.9 if "--worse" in sys.argv[2:] else 1.0)
