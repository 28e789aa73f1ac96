"""Where a version came from, gathered at the command line: from a file, from flags, and from git."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from seatrial.errors import NotFound, UsageError

if TYPE_CHECKING:
    from seatrial.control.project import Project

_SUFFIX = {"skops": (".skops",), "joblib": (".joblib", ".pkl", ".pickle"), "onnx": (".onnx",)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """What was given on the command line; None is not given."""

    code_commit: str | None = None
    data: Path | None = None
    data_digest: str | None = None
    data_rows: int | None = None
    data_start: str | None = None
    data_end: str | None = None
    model_digest: str | None = None
    model_file: Path | None = None
    model_framework: str | None = None
    params: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    importances: dict[str, float] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    target: str | None = None
    population: str | None = None
    algorithm: str | None = None
    data_type: str | None = None
    facts: dict[str, str] = field(default_factory=dict)


def document(file: Path | None, flags: Flags, directory: Path, *, same: Sequence[str] = ()) -> dict[str, Any]:
    """The lineage in the words of the registry: the file, and the flags over it. What is not known is left out.

    ``same``: two digests of one artifact, as a file and as it is stored; who names the first means the second.
    """
    given = {} if file is None else _read(file)
    named = given.get("model")
    if len(same) == 2 and isinstance(named, dict) and named.get("digest", same[0]) == same[0]:
        given["model"] = {**named, "digest": same[1]}
    code = given.get("code") if flags.code_commit is None else None
    parts = {
        "code": code or _code(flags, directory),
        "data": _merged(given.get("data"), _data(flags)),
        "model": _merged(given.get("model"), _model(flags)),
    }
    recipe = {"recipe": _recipe(given["recipe"], directory)} if given.get("recipe") else {}
    return {**given, **recipe, **{name: part for name, part in parts.items() if part}}


_FORM = "docs/cli.md shows one; `seatrial model register --help` names the flags that do without."
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_HOW = {
    "code": ("the commit it was trained from", "--code-commit, or run this inside the git repository"),
    "data": ("the training data", "--data FILE, or --data-digest and --data-rows"),
    "model": ("the digest of the model", "--model-file FILE or --model-digest, with --model-framework"),
}


def require(document: dict[str, Any], model: str) -> None:
    """Raises UsageError that says which flag gives each missing part. What else is wrong, the registry finds."""
    if document.keys() - _HOW.keys() - {"recipe"}:
        return
    if missing := [part for part in _HOW if part not in document]:
        raise UsageError(
            "ST0102",
            f"model {model!r}: the version has no {' and no '.join(f'{part} ({_HOW[part][0]})' for part in missing)}.",
            remedy="\n  ".join(f"{part}: {_HOW[part][1]}" for part in missing),
        )
    for part in ("data", "model"):
        digest = document[part].get("digest") if isinstance(document[part], dict) else None
        if isinstance(digest, str) and not _DIGEST.fullmatch(digest):
            raise UsageError(
                "ST0887", f"model {model!r}: the {part}'s digest {digest!r} is not sha256: and 64 hexadecimal digits.",
                remedy=f"{_HOW[part][1]}; `sha256sum FILE` prints the digits.",
            )  # fmt: skip
    if isinstance(document["model"], dict) and "framework" not in document["model"]:
        raise UsageError(
            "ST0102", f"model {model!r}: with what the model was made is not said.",
            remedy='--model-framework "scikit-learn 1.7"',
        )  # fmt: skip


def put_artifact(project: Project, path: Path, format: str) -> str:
    """Copy the model file, or the directory around it, into the project's artifact store; returns its digest."""
    from seatrial.store.artifacts import ArtifactStore

    store = ArtifactStore(project.artifacts)
    if path.is_dir():
        return store.put_tree(path)
    if not path.is_file():
        raise NotFound("ST0872", f"there is no artifact '{path}'.", remedy="Correct --artifact.")
    with tempfile.TemporaryDirectory(prefix="seatrial-") as scratch:
        named = path.name if path.suffix in _SUFFIX[format] else f"model{_SUFFIX[format][0]}"
        shutil.copyfile(path, Path(scratch) / named)
        return store.put_tree(Path(scratch))


def digests(artifact: Path | None, stored: str | None) -> tuple[str, ...]:
    """The digest of an artifact that is one file, and that of it in the store."""
    return (file_digest(artifact), stored) if artifact is not None and artifact.is_file() and stored else ()


def signature(project: Project, name: str, serving: dict[str, Any], lineage: dict[str, Any]) -> str:
    """What the key of this project's configuration, if it names one, says of an artifact."""
    if not project.config.signing.key:
        return ""
    from seatrial.api.bodies import read_lineage, read_serving
    from seatrial.control.signatures import signed

    return signed(project, name, read_serving(serving), read_lineage(lineage))


def texts(given: Sequence[str] | None, option: str) -> dict[str, str]:
    """``KEY=VALUE`` pairs."""
    found = {}
    for text in given or ():
        key, sign, value = text.partition("=")
        if not sign or not key:
            raise UsageError("ST0873", f"{option} {text!r} is not KEY=VALUE.", remedy=f"e.g. {option} depth=6")
        found[key] = value
    return found


def pairs(given: Sequence[str] | None, option: str) -> dict[str, Any]:
    """``KEY=VALUE`` pairs; a value that is JSON (a number, true, a list) is that."""
    return {key: _json_or_text(value) for key, value in texts(given, option).items()}


def numbers(given: Sequence[str] | None, option: str) -> dict[str, float]:
    """``KEY=NUMBER`` pairs."""
    try:
        return {key: float(value) for key, value in texts(given, option).items()}
    except ValueError as error:
        raise UsageError("ST0873", f"{option}: {error}.", remedy=f"e.g. {option} auc=0.91") from None


def dtypes(features: Sequence[str], named: Mapping[str, str]) -> list[str]:
    """The kinds in the order of the features."""
    for name in sorted(named.keys() - set(features)):
        raise UsageError(
            "ST0763", f"--dtype {name}: there is no such feature.", remedy=f"There are: {', '.join(features)}"
        )
    for name in features if named else ():
        if name not in named:
            raise UsageError("ST0763", f"--dtype: feature '{name}' has none.", remedy="Give all of them or none.")
    return [named[name] for name in features if named]


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def count_rows(path: Path) -> int | None:
    """Rows of a Parquet or CSV file (without its header line); None for another kind."""
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        rows: int = pq.read_metadata(path).num_rows
        return rows
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            return max(sum(1 for _ in csv.reader(file)) - 1, 0)
    return None


def git_code(directory: Path) -> dict[str, Any] | None:
    """The commit checked out here, whether the tree differs from it, and the digest of the difference."""
    commit = _git(directory, "rev-parse", "HEAD")
    if not commit:
        return None
    dirty = bool(_git(directory, "status", "--porcelain"))
    changes = _git(directory, "diff", "HEAD", "--binary") if dirty else None
    return {
        "commit": commit,
        "dirty": dirty,
        "repository": _without_password(_git(directory, "config", "--get", "remote.origin.url") or ""),
        "changes": f"sha256:{hashlib.sha256(changes.encode()).hexdigest()}" if changes else None,
    }


def _code(flags: Flags, directory: Path) -> dict[str, Any] | None:
    found = git_code(directory)
    if flags.code_commit is None:
        return found
    here = found is not None and str(found["commit"]).startswith(flags.code_commit)
    return found if here else {"commit": flags.code_commit, "dirty": False}


def _data(flags: Flags) -> dict[str, Any]:
    digest, rows, name = flags.data_digest, flags.data_rows, None
    if flags.data is not None:
        if not flags.data.is_file():
            raise NotFound("ST0874", f"there is no data file '{flags.data}'.", remedy="Correct --data.")
        digest, name = file_digest(flags.data), flags.data.name
        rows = count_rows(flags.data) if rows is None else rows
    if digest is not None and rows is None:
        raise UsageError("ST0875", f"data {name or digest}: how many rows it has is not known.", remedy="--data-rows N")
    given = {"digest": digest, "rows": rows, "start": flags.data_start, "end": flags.data_end, "name": name,
             "sources": flags.sources or None, "target": flags.target, "population": flags.population,
             "type": flags.data_type, "provenance": flags.facts or None}  # fmt: skip
    return {key: value for key, value in given.items() if value is not None}


def _model(flags: Flags) -> dict[str, Any]:
    if flags.model_file is not None and not flags.model_file.is_file():
        raise NotFound("ST0886", f"there is no model file '{flags.model_file}'.", remedy="Correct --model-file.")
    given = {
        "digest": flags.model_digest or (file_digest(flags.model_file) if flags.model_file else None),
        "framework": flags.model_framework,
        "algorithm": flags.algorithm,
        "hyperparameters": flags.params or None,
        "metrics": flags.metrics or None,
        "importances": flags.importances or None,
    }
    return {key: value for key, value in given.items() if value is not None}


def _recipe(given: object, directory: Path) -> object:
    """An environment that is only the name of a file means that file, as it is here."""
    file = given.get("environment") if isinstance(given, dict) else None
    if not isinstance(given, dict) or not isinstance(file, str):
        return given
    if not (directory / file).is_file():
        raise NotFound("ST1588", f"there is no environment file '{directory / file}'.", remedy="Correct the recipe.")
    return {**given, "environment": {"file": file, "digest": file_digest(directory / file)}}


def _merged(file: object, flags: dict[str, Any]) -> dict[str, Any]:
    return {**file, **flags} if isinstance(file, dict) else flags


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFound("ST0876", f"there is no lineage file '{path}'.", remedy="Correct --lineage.") from None
    except yaml.YAMLError as error:
        raise UsageError("ST0877", f"'{path}' is not YAML: {error}.", remedy=_FORM) from None
    if not isinstance(content, dict):
        raise UsageError("ST0877", f"'{path}' is not a map with code, data and model.", remedy=_FORM)
    return content


def _git(directory: Path, *arguments: str) -> str:
    command = ["git", "-C", str(directory), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else ""


def _without_password(url: str) -> str | None:
    """A remote's address as it may be written down: an access token in it is nobody else's business."""
    parts = urlsplit(url)
    if parts.scheme and "@" in parts.netloc:
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return url or None


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value
