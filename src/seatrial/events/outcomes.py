"""What became of a prediction: outcomes arrive late, out of order and twice, and none that was accepted is lost.

An accepted outcome is on disk. What (key, name) is worth is a function of the set of its records: the highest
revision, then the latest time, then the largest value. So a record may be sent again at any time.
"""

from __future__ import annotations

import csv
import fcntl
import json
import math
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from seatrial.errors import UsageError
from seatrial.events.parts import LogReader, Progress, ingest
from seatrial.events.schema import OUTCOME_SCHEMA, to_micros, to_table

MAX_VALUE = 1e9
"""Largest size of a value: sums are kept in whole millionths of 64-bit integers."""

MAX_NAME = 500
_FIELDS = frozenset({"model", "key", "name", "value", "time", "revision"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """``name`` of the prediction ``key`` had ``value`` from ``time`` on; a correction has a higher ``revision``."""

    model: str
    key: str
    name: str
    value: float
    time: datetime
    revision: int = 0

    @classmethod
    def parse(cls, record: object, *, model: str | None = None, where: str = "outcome") -> Outcome:
        """Check one record (a mapping) and make it an outcome; ``model`` fills in where the record has none.

        Raises UsageError (ST0501 to ST0505), naming ``where`` and the field.
        """
        if not isinstance(record, Mapping):
            raise UsageError("ST0501", f"{where}: an outcome is an object, not {type(record).__name__}.")
        if unknown := sorted(set(record) - _FIELDS):
            raise UsageError(
                "ST0502", f"{where}: unknown field '{unknown[0]}'.", remedy=f"Fields: {', '.join(sorted(_FIELDS))}."
            )
        named = record.get("model") or model
        return cls(
            model=_word(named, "model", where),
            key=_word(record.get("key"), "key", where),
            name=_word(record.get("name"), "name", where),
            value=_value(record.get("value"), where),
            time=_time(record.get("time"), where),
            revision=_revision(record.get("revision"), where),
        )


def parse_ndjson(body: bytes, *, model: str | None = None) -> list[Outcome]:
    """Outcomes of a body with one JSON object a line. All or nothing: a bad line is an error that names it."""
    found = []
    for n, line in enumerate(body.split(b"\n"), start=1):
        if line.strip():
            found.append(Outcome.parse(_loads(line, f"line {n}"), model=model, where=f"line {n}"))
    return found


def read_file(path: Path, *, model: str | None = None) -> list[Outcome]:
    """Outcomes of a ``.csv``, ``.parquet``, ``.ndjson`` or ``.jsonl`` file; a bad row is an error that names it."""
    suffix = path.suffix.lower()
    if not path.is_file():
        raise UsageError("ST0506", f"outcomes file {path} does not exist.")
    if suffix in (".ndjson", ".jsonl"):
        return parse_ndjson(path.read_bytes(), model=model)
    if suffix not in (".csv", ".parquet"):
        raise UsageError("ST0507", f"{path.name}: outcomes are read from .csv, .parquet, .ndjson or .jsonl files.")
    rows = _csv(path) if suffix == ".csv" else _parquet(path)
    return [Outcome.parse(row, model=model, where=f"{path.name} row {n}") for n, row in enumerate(rows, start=1)]


class OutcomeLog:
    """Outcomes in ``directory``: an append-only log, and the Parquet parts made from it.

    ``clock`` stamps what is received. Several threads and processes may append at the same time; one of them converts.
    """

    def __init__(self, directory: Path, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.directory = directory
        self.path = directory / "outcomes.jsonl"
        self._clock = clock
        self._lock = threading.Lock()
        self._progress = Progress(directory / "progress.json")
        self._reader: LogReader | None = None
        directory.mkdir(parents=True, exist_ok=True)

    def append(self, records: Iterable[Outcome]) -> int:
        """Keep outcomes; they are on disk when this returns. Returns how many."""
        received = to_micros(self._clock())
        lines = [_line(record, received) for record in records]
        if not lines:
            return 0
        with self._lock:
            self._write("".join(lines).encode())
        return len(lines)

    def convert(self, *, watermark: datetime | None = None) -> int:
        """Make parts of what was appended since; returns the number of records.

        ``watermark``: as in ``capture.convert``: what comes after a look was taken is received after that look.
        """
        lifted = None if watermark is None else to_micros(watermark) + 1
        if self._reader is None:
            self._reader = LogReader(self.path, self._progress.load())
        return ingest(self._reader, self._progress, self.directory, lambda lines: _tables(lines, lifted))

    def _write(self, data: bytes) -> None:
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            if (size := os.fstat(fd).st_size) and os.pread(fd, 1, size - 1) != b"\n":
                data = b"\n" + data  # a crash tore the last line; nobody was told that it is kept
            while data:
                data = data[os.write(fd, data) :]
            os.fsync(fd)
        finally:
            os.close(fd)


def _line(record: Outcome, received: int) -> str:
    document = [record.model, record.key, record.name, record.value, to_micros(record.time), record.revision, received]
    return json.dumps(document, ensure_ascii=False) + "\n"


def _tables(lines: bytes, lifted: int | None) -> dict[str, pa.Table]:
    rows: dict[str, list[dict[str, object]]] = {}
    for line in lines.split(b"\n"):
        try:
            model, key, name, value, time, revision, received = json.loads(line)
        except ValueError:  # blank, or torn by a crash before it was acknowledged
            continue
        received_at = received if lifted is None else max(received, lifted)
        row = dict(zip(OUTCOME_SCHEMA.names, (key, name, value, time, revision, received_at, model), strict=True))
        rows.setdefault(model, []).append(row)
    return {model: to_table(found, OUTCOME_SCHEMA) for model, found in rows.items()}


def _loads(line: bytes, where: str) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError("ST0501", f"{where}: not JSON: {error}.") from None


def _csv(path: Path) -> Iterator[dict[str, object]]:
    with path.open(newline="", encoding="utf-8-sig") as handle:
        for row in csv.DictReader(handle):
            yield {name: cell for name, cell in row.items() if name is not None and cell != ""}


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(path).iter_batches():
        for row in batch.to_pylist():
            yield {name: cell for name, cell in row.items() if cell is not None}


def _word(value: object, field: str, where: str) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value or len(value) > MAX_NAME:
        raise UsageError("ST0503", f"{where}: '{field}' must be text of 1 to {MAX_NAME} characters.")
    return value


def _value(value: object, where: str) -> float:
    number: float | None = None
    if isinstance(value, int | float | str):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = None
    if number is None or not math.isfinite(number) or abs(number) > MAX_VALUE:
        raise UsageError("ST0504", f"{where}: 'value' must be a finite number of at most {MAX_VALUE:g}.")
    return number


def _time(value: object, where: str) -> datetime:
    """An aware time, or epoch seconds."""
    moment: datetime | None = None
    try:
        if isinstance(value, datetime):
            moment = value
        elif isinstance(value, int | float) and not isinstance(value, bool):
            moment = datetime.fromtimestamp(value, UTC)
        elif isinstance(value, str):
            moment = _time_text(value)
    except (ValueError, OverflowError, OSError):
        moment = None
    if moment is None or moment.tzinfo is None:
        raise UsageError(
            "ST0505", f"{where}: 'time' must be a time with its offset, or epoch seconds.",
            remedy="e.g. 2026-03-01T12:00:00Z",
        )  # fmt: skip
    return moment.astimezone(UTC)


def _time_text(text: str) -> datetime:
    try:
        return datetime.fromtimestamp(float(text), UTC)
    except ValueError:
        return datetime.fromisoformat(text)


def _revision(value: object, where: str) -> int:
    if value is None:
        return 0
    try:
        number = int(value) if isinstance(value, int | str) and not isinstance(value, bool) else -1
    except ValueError:
        number = -1
    if not 0 <= number < 1 << 62:
        raise UsageError("ST0504", f"{where}: 'revision' must be a whole number that is not negative.")
    return number
