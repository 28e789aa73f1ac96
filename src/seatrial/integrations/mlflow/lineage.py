"""Where a version came from, as its MLflow run tells: the commit, the data sets, parameters and metrics.

What the run does not say is not known, and not made up: a version without commit or data set is not registered.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from seatrial.errors import UsageError
from seatrial.ids import Digest
from seatrial.instants import instant
from seatrial.integrations.mlflow.flavor import Flavor
from seatrial.registry.lineage import ArtifactLineage, CodeRef, DataRef, ModelRef

if TYPE_CHECKING:
    from mlflow.entities import Run

COMMIT: Final = "mlflow.source.git.commit"
REPOSITORY: Final = "mlflow.source.git.repoURL"
DIRTY: Final = "mlflow.source.git.dirty"
START, END, TARGET, POPULATION = (f"seatrial.data.{name}" for name in ("start", "end", "target", "population"))
ALGORITHM, IMPORTANCES = (f"seatrial.model.{name}" for name in ("algorithm", "importances"))
"""Tags of a run that say what MLflow has no place for: event times (ISO 8601), what is predicted, of whom and how it
learns, and how much each feature weighs (JSON, ``{"income": 0.4}``).
"""

_TRAINING: Final = ("training", "train", "")


def lineage_of(run: Run | None, flavor: Flavor, digest: Digest) -> ArtifactLineage:
    """``digest``: of the artifact. Parts that the run does not tell are None."""
    if run is None:
        return ArtifactLineage(model=ModelRef(digest, flavor.framework))
    tags: Mapping[str, str] = run.data.tags
    return ArtifactLineage(
        code=_code(tags),
        data=_data(run.inputs.dataset_inputs if run.inputs else (), tags),
        model=ModelRef(
            digest, flavor.framework,
            hyperparameters={name: _setting(text) for name, text in sorted(run.data.params.items())},
            metrics={name: value for name, value in sorted(run.data.metrics.items()) if math.isfinite(value)},
            importances=_importances(tags),
            algorithm=tags.get(ALGORITHM, ""),
        ),
    )  # fmt: skip


def lacks(lineage: ArtifactLineage) -> str:
    """What the run should have said, and how; empty if it said all of it."""
    wanted = {
        "code": f"the tag {COMMIT} (MLflow sets it for a run out of a git repository)",
        "data": "a data set (mlflow.log_input(dataset, context='training'))",
    }
    return " and ".join(text for part, text in wanted.items() if getattr(lineage, part) is None)


def _code(tags: Mapping[str, str]) -> CodeRef | None:
    commit = tags.get(COMMIT)
    if not commit:
        return None
    return CodeRef(commit, dirty=tags.get(DIRTY, "").lower() == "true", repository=tags.get(REPOSITORY))


def _data(inputs: Sequence[Any], tags: Mapping[str, str]) -> DataRef | None:
    """The data sets of training, as one: MLflow's own digests of them are hashed together.

    The name is that of the sets alone: newer rows of the same sets are no other source.
    """
    used = sorted(
        (one.dataset for one in inputs if _context(one) in _TRAINING), key=lambda data: (data.name, data.digest)
    )
    if not used:
        return None
    told = "\n".join(f"{data.name} {data.digest}" for data in used)
    return DataRef(
        digest=Digest("sha256:" + hashlib.sha256(told.encode()).hexdigest()),
        rows=sum(_rows(data.profile) for data in used),
        start=_time(tags, START),
        end=_time(tags, END),
        name=" + ".join(data.name for data in used),
        sources={column: data.name for data in used for column in _columns(data.schema)},
        target=tags.get(TARGET, ""),
        population=tags.get(POPULATION, ""),
    )


def _setting(text: str) -> int | float | str:
    """MLflow keeps every parameter as text; what is a number is one again, and can be held to bounds.

    >>> _setting("6"), _setting("0.10"), _setting("gini"), _setting("True")
    (6, 0.1, 'gini', 'True')
    """
    try:
        found = json.loads(text)
    except ValueError:
        return text
    return found if isinstance(found, int | float) and not isinstance(found, bool) and math.isfinite(found) else text


def _importances(tags: Mapping[str, str]) -> Mapping[str, float]:
    text = tags.get(IMPORTANCES)
    if not text:
        return {}
    try:
        return {str(name): float(weight) for name, weight in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError):
        raise UsageError("ST1556", f"mlflow: the run's tag {IMPORTANCES} is {text!r}, which weighs no features.",
                         remedy='e.g. {"income": 0.4, "age": 0.1}') from None  # fmt: skip


def _context(used: Any) -> str:
    return next((tag.value for tag in used.tags if tag.key == "mlflow.data.context"), "")


def _rows(profile: str | None) -> int:
    return int(_json(profile).get("num_rows", 0))


def _columns(schema: str | None) -> list[str]:
    return [str(column["name"]) for column in _json(schema).get("mlflow_colspec", ()) if column.get("name")]


def _json(text: str | None) -> Mapping[str, Any]:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _time(tags: Mapping[str, str], name: str) -> datetime | None:
    text = tags.get(name)
    if not text:
        return None
    try:
        return instant(text)
    except ValueError:
        raise UsageError("ST1537", f"mlflow: the run's tag {name} is {text!r}, which is no time.",
                         remedy="e.g. 2026-01-01T00:00:00+00:00") from None  # fmt: skip
