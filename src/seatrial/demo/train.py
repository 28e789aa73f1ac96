"""Train the delay model: one scikit-learn pipeline, pre-processing and classifier together, saved with skops."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from seatrial.demo import flights

TRUSTED_TYPES = ("sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",)
"""Types in a saved model that skops does not trust by itself."""

HOLD_OUT = 0.2


@dataclass(frozen=True, slots=True)
class Dataset:
    """What a model was trained on: enough to tell two training sets apart and to find the rows again."""

    digest: str
    rows: int
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class Trained:
    """A fitted pipeline, its metrics on the held-out end of the window, and its training set."""

    pipeline: Pipeline
    metrics: dict[str, float]
    dataset: Dataset


def train(start: date | datetime, end: date | datetime, seed: int = 0) -> Trained:
    """Train on the flights of ``[start, end)`` whose outcome was known before ``end``.

    The metrics are honest about time: a first model sees the earlier 80% and is judged on the last 20%; the model that
    is returned saw everything.
    """
    rows = training_rows(start, end)
    cut = round(len(rows) * (1 - HOLD_OUT))
    metrics = evaluate(fit(rows[:cut], seed), rows[cut:])
    seen = Dataset(digest(rows), len(rows), rows.event_time.iloc[0], rows.event_time.iloc[-1])
    return Trained(fit(rows, seed), metrics, seen)


def training_rows(start: date | datetime, end: date | datetime) -> pd.DataFrame:
    """Flights of the window that have an outcome, known before the window ends."""
    rows = flights.load(start, end)
    rows = rows[rows.outcome_time < pd.Timestamp(flights.instant(end))]
    if len(rows) < 1_000:
        raise ValueError(f"only {len(rows)} flights with an outcome between {start} and {end}; 1,000 are needed")
    return rows.reset_index(drop=True)


def fit(rows: pd.DataFrame, seed: int = 0) -> Pipeline:
    """Boosted trees; carriers and origins get a column each, the 105 destinations are numbered.

    The encoders stand outside the classifier, not inside as its ``categorical_features``, so that a saved model needs
    no function to be trusted, only the tree type.
    """
    encode = ColumnTransformer(
        [
            ("few", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["carrier", "origin"]),
            ("many", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["dest"]),
            ("number", "passthrough", list(flights.NUMBERS)),
        ]
    )
    trees = HistGradientBoostingClassifier(
        max_iter=60,
        learning_rate=0.08,
        max_leaf_nodes=15,
        min_samples_leaf=100,
        l2_regularization=5.0,
        categorical_features=None,
        early_stopping=False,
        random_state=seed,
    )
    # One thread: it is a second of work, and OpenMP threads that wait for each other on a busy machine make it ten.
    with threadpool_limits(limits=1, user_api="openmp"):
        return Pipeline([("encode", encode), ("trees", trees)]).fit(
            rows[list(flights.FEATURES)], rows.delayed.astype(int)
        )


def evaluate(pipeline: Pipeline, rows: pd.DataFrame) -> dict[str, float]:
    """Log loss, area under the ROC curve and Brier score, beside the share of late flights."""
    late, score = rows.delayed.astype(int), pipeline.predict_proba(rows[list(flights.FEATURES)])[:, 1]
    return {
        "log_loss": float(log_loss(late, score)),
        "auc": float(roc_auc_score(late, score)),
        "brier": float(brier_score_loss(late, score)),
        "base_rate": float(late.mean()),
    }


def digest(rows: pd.DataFrame) -> str:
    """SHA-256 over the values of all columns in row order."""
    hashes = pd.util.hash_pandas_object(rows, index=False).to_numpy()
    return "sha256:" + hashlib.sha256(hashes.tobytes()).hexdigest()


def save(pipeline: Pipeline, path: Path) -> None:
    """Write the pipeline as a skops file, which holds data and type names but no code."""
    skops.io.dump(pipeline, path)


def load(path: Path, trusted: Sequence[str] = TRUSTED_TYPES) -> Pipeline:
    """Read a saved pipeline; a file that holds any other type is refused by skops before it is built."""
    pipeline: Any = skops.io.load(path, trusted=list(trusted))
    if not isinstance(pipeline, Pipeline):
        raise ValueError(f"{path} holds a {type(pipeline).__name__}, not a Pipeline")
    return pipeline
