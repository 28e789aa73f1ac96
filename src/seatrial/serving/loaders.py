"""Artifacts to models. skops and ONNX hold data; a pickle runs code, so it needs the owner's explicit trust."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seatrial.errors import NotFound, SeatrialError, UsageError
from seatrial.serving.spec import HostSpec

_SUFFIXES = {"skops": (".skops",), "joblib": (".joblib", ".pkl", ".pickle"), "onnx": (".onnx",)}

REVIEWED_TYPES = (
    "numpy.dtype",  # what a fitted imputer remembers
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",  # the arrays of one tree
)
"""Types that skops does not trust by itself, hold only data, and are in ordinary scikit-learn pipelines."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """``predict`` takes a frame or an array of rows and returns one answer per row.

    ``wants_frame``: the model was fitted on named columns. ``categories``: known values of text columns, by name.
    """

    predict: Callable[[Any], Any]
    wants_frame: bool
    categories: dict[str, tuple[str, ...]]


def load(spec: HostSpec) -> LoadedModel:
    """Load the artifact of a spec.

    Raises ``NotFound`` (no file), ``SeatrialError`` (types that are not trusted, an output the model does not have),
    ``UsageError`` (a pickle without trust, a missing extra).
    """
    path = artifact_file(spec)
    if spec.format == "onnx":
        return _load_onnx(path, spec)
    model = _load_skops(path, spec) if spec.format == "skops" else _load_joblib(path, spec)
    predict = getattr(model, spec.output, None)
    if predict is None:
        raise SeatrialError(
            "ST0755",
            f"{_name(spec)}: a {type(model).__name__} has no {spec.output}.",
            remedy="Register it with output 'predict'.",
        )
    return LoadedModel(predict, not _fitted_on_array(model), text_categories(model))


def artifact_file(spec: HostSpec) -> Path:
    """The one model file in the artifact directory; a store may also name the file itself, under any name."""
    folder = Path(spec.artifact_dir or "")
    if folder.is_file():
        return folder
    suffixes = _SUFFIXES[spec.format]
    found = sorted(file for file in folder.glob("*") if file.suffix in suffixes)
    if len(found) != 1:
        wanted = " or ".join(f"*{suffix}" for suffix in suffixes)
        code, what = ("ST0753", "no") if not found else ("ST0754", f"{len(found)} files")
        raise NotFound(
            code, f"{_name(spec)}: {what} {wanted} in {folder}.", remedy="Keep exactly one model file there."
        )
    return found[0]


def _load_skops(path: Path, spec: HostSpec) -> Any:
    from skops import io

    trusted = [*REVIEWED_TYPES, *spec.trusted_types]
    unknown = sorted(set(io.get_untrusted_types(file=path)) - set(trusted))
    if unknown:
        raise SeatrialError(
            "ST0756",
            f"{_name(spec)}: {path.name} contains types that are not trusted: {', '.join(unknown)}.",
            remedy="Look at their code, then name each one as a trusted type when you register the version.",
        )
    return io.load(path, trusted=trusted)


def _load_joblib(path: Path, spec: HostSpec) -> Any:
    if not spec.trust_pickle:
        raise UsageError(
            "ST0757",
            f"{_name(spec)}: {path.name} is a pickle, and loading a pickle runs whatever code it carries.",
            remedy="Save it with skops.io.dump, or register it with --trust-pickle if you made the file yourself.",
        )
    import joblib

    return joblib.load(path)


def _load_onnx(path: Path, spec: HostSpec) -> LoadedModel:
    try:
        import onnxruntime
    except ImportError as error:
        raise UsageError(
            "ST0758",
            f"{_name(spec)}: ONNX models need the ONNX runtime.",
            remedy="Install it: pip install 'seatrial[onnx]'.",
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return onnx_model(session, spec)


def onnx_model(session: Any, spec: HostSpec) -> LoadedModel:
    """Feed one tensor of all columns, or one ``[rows, 1]`` tensor a column, whichever the graph declares."""
    import numpy as np

    types = {
        "tensor(string)": object,
        "tensor(int64)": np.int64,
        "tensor(double)": np.float64,
        "tensor(bool)": np.bool_,
    }
    inputs = [(entry.name, types.get(entry.type, np.float32)) for entry in session.get_inputs()]
    names = [entry.name for entry in session.get_outputs()]
    wanted = names[-1] if spec.output == "predict_proba" and len(names) > 1 else names[0]

    def predict(data: Any) -> Any:
        if len(inputs) == 1 and len(spec.features) > 1:
            feed: dict[str, Any] = {inputs[0][0]: np.asarray(data).astype(inputs[0][1])}
        else:
            feed = {name: np.asarray(data[name]).astype(kind).reshape(-1, 1) for name, kind in inputs}
        (answer,) = session.run([wanted], feed)
        if isinstance(answer, list):  # a ZipMap output: one {class: probability} a row
            return np.array([list(row.values()) for row in answer])
        return answer[:, 0] if spec.output == "predict" and answer.ndim == 2 and answer.shape[1] == 1 else answer

    return LoadedModel(predict, wants_frame=len(inputs) > 1, categories={})


def _fitted_on_array(model: Any) -> bool:
    """True for a scikit-learn model that was fitted without column names; it would only warn about them."""
    first = model[0] if type(model).__name__ == "Pipeline" and len(model) else model
    known = type(first).__module__.startswith("sklearn.") and hasattr(first, "n_features_in_")
    return known and not hasattr(first, "feature_names_in_")


def text_categories(model: Any) -> dict[str, tuple[str, ...]]:
    """Known values of the text columns that fitted encoders inside a pipeline have seen; empty where none is found."""
    found: dict[str, tuple[str, ...]] = {}
    pending = [model]
    while pending:
        part = pending.pop()
        categories, names = getattr(part, "categories_", None), getattr(part, "feature_names_in_", None)
        if categories is not None and names is not None:
            for name, values in zip(names, categories, strict=False):
                texts = tuple(value for value in values if isinstance(value, str))
                if texts:
                    found[str(name)] = texts
        pending.extend(_parts(part))
    return found


def _parts(model: Any) -> list[Any]:
    steps = [step for _, step in getattr(model, "steps", ()) if step is not None]
    return steps + [entry[1] for entry in getattr(model, "transformers_", ()) if not isinstance(entry[1], str)]


def quiet_name_warnings() -> None:
    """Whether names are passed is decided above; a warning a request would flood the log."""
    warnings.filterwarnings("ignore", message="X (has|does not have valid) feature names", category=UserWarning)


def _name(spec: HostSpec) -> str:
    return f"model {spec.model}/{spec.version}"
