"""Evidently's drift of two Parquet files, in its own environment: ``drift_evidently.py REFERENCE CURRENT COLUMNS``.

Prints seconds, from opening the files to the report, of the first so many columns.
"""

import sys
import time

import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset


def main(reference: str, current: str, columns: str) -> None:
    names = [f"f{i}" for i in range(int(columns))]
    began = time.perf_counter()
    before, now = (pd.read_parquet(path, columns=names) for path in (reference, current))
    Report([DataDriftPreset()]).run(now, before).dict()
    print(time.perf_counter() - began)


if __name__ == "__main__":
    main(*sys.argv[1:])
