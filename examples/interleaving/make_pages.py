"""A shop's log of interleaved searches as CSV, for `seatrial analyze interleaving`: the candidate ranks better.

    python make_pages.py pages.csv           the candidate knows better what people look for
    python make_pages.py pages.csv --same    it knows as much as the champion

The data are made up, and the same each time.
"""

import csv
import json
import random
import sys
from datetime import UTC, datetime, timedelta

import seatrial as st

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
USERS, PAGES, ARTICLES, WANTED = 1_500, 4_000, 20, 4


def main(path: str, candidate_noise: float) -> None:
    rng = random.Random(29)
    wanted = {f"q{n}": set(rng.sample(range(ARTICLES), WANTED)) for n in range(50)}

    def ranked(query: str, noise: float) -> list[int]:
        return sorted(range(ARTICLES), key=lambda article: rng.gauss(0, noise) - (article in wanted[query]))[:10]

    with open(path, "w", newline="") as file:
        for n in range(PAGES):
            user, query = f"u{rng.randrange(USERS)}", f"q{rng.randrange(50)}"
            champion, candidate = ranked(query, 0.7), ranked(query, candidate_noise)
            page = st.interleave(champion, candidate, salt="ranker-2", unit=user, query=query, length=10)
            clicks = [a for a in page.items if rng.random() < (0.25 if a in wanted[query] else 0.02)]
            row = page.row(clicks, time=BEGIN + timedelta(minutes=n))
            if n == 0:
                writer = csv.DictWriter(file, row)
                writer.writeheader()
            writer.writerow({name: json.dumps(v) if isinstance(v, list) else v for name, v in row.items()})


if __name__ == "__main__":
    main(sys.argv[1], candidate_noise=0.7 if "--same" in sys.argv[2:] else 0.55)
