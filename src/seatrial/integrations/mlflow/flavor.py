"""What an ``MLmodel`` file says of a model: what it is made of, its columns, and whether it answers with labels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import yaml

from seatrial.errors import UsageError
from seatrial.registry.version import ColumnKind

Output = Literal["scores", "labels", "unknown"]

REMEDY: Final = "Log the model with pyfunc_predict_fn='predict_proba', and register it again."

_KINDS: Final[Mapping[str, ColumnKind]] = {
    "double": "number", "float": "number", "long": "integer", "integer": "integer", "string": "string",
    "boolean": "boolean",
}  # fmt: skip
_LABELS: Final = frozenset({"long", "integer", "string", "boolean", "int64", "int32", "object", "bool", "str"})
_SCORES: Final = frozenset({"double", "float", "float64", "float32"})
_FORMATS: Final = {".skops": "skops", ".pkl": "joblib", ".pickle": "joblib", ".joblib": "joblib", ".onnx": "onnx"}


@dataclass(frozen=True, slots=True)
class Flavor:
    """``framework``: *sklearn 1.7.0*. ``file``: the model's file, ``format``: what it is; empty where seatrial does not
    serve it. ``columns``: with their kinds, by the signature. ``predict``: what the pyfunc calls, ``output``: what
    comes back of it. ``example``: whether it has an input example. ``environment``: files that say what it needs.
    """

    framework: str
    file: str
    format: str
    columns: Mapping[str, ColumnKind]
    predict: str
    output: Output
    example: bool
    environment: tuple[str, ...]

    @property
    def probabilities(self) -> bool:
        """Whether the model itself, not its pyfunc, can answer with probabilities."""
        return self.output == "labels" or self.predict == "predict_proba"


def read_flavor(folder: Path) -> Flavor:
    """The model in a folder. Raises UsageError (``ST1536``) where there is none."""
    try:
        document = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))
        flavors = document["flavors"]
        pyfunc = flavors.get("python_function", {})
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            "ST1536", f"mlflow: '{folder.name}' is no MLflow model: {type(error).__name__}: {error}.",
            remedy="A model is what log_model writes: a folder with an MLmodel file.",
        ) from None  # fmt: skip
    name = next((name for name in flavors if name != "python_function"), "python_function")
    file = _file(flavors[name], pyfunc, folder)
    signature = document.get("signature") or {}
    predict = str(pyfunc.get("predict_fn", "predict"))
    version = flavors[name].get(f"{name}_version", "")
    return Flavor(
        framework=f"{name} {version}".strip(),
        file=file,
        format=_FORMATS.get(Path(file).suffix, "") if name in ("sklearn", "onnx") else "",
        columns=_columns(signature.get("inputs")),
        predict=predict,
        output="scores" if predict == "predict_proba" else _output(signature.get("outputs")),
        example=bool(document.get("saved_input_example_info")),
        environment=tuple(
            file for file in ("requirements.txt", "python_env.yaml", "conda.yaml") if (folder / file).is_file()
        ),
    )


def _file(flavor: Mapping[str, Any], pyfunc: Mapping[str, Any], folder: Path) -> str:
    """The one file that holds the model, if there is one."""
    named = flavor.get("pickled_model") or flavor.get("data") or pyfunc.get("model_path") or ""
    return str(named) if named and (folder / str(named)).is_file() else ""


def _columns(inputs: str | None) -> dict[str, ColumnKind]:
    """Named columns of a signature; empty where it has none, or one of a kind that is not a column."""
    entries = json.loads(inputs) if inputs else []
    if not all(entry.get("name") and entry.get("type") in _KINDS for entry in entries):
        return {}
    return {entry["name"]: _KINDS[entry["type"]] for entry in entries}


def _output(outputs: str | None) -> Output:
    entries = json.loads(outputs) if outputs else []
    kinds = {str(entry.get("tensor-spec", {}).get("dtype") or entry.get("type")) for entry in entries}
    if kinds and kinds <= _LABELS:
        return "labels"
    return "scores" if kinds and kinds & _SCORES else "unknown"
