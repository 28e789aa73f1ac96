"""What became of a prediction: outcomes arrive late, out of order and twice, and none that was accepted is lost.

An accepted outcome is on disk. What (key, name, item) is worth is a function of the set of its records: the highest
revision, then the latest time, then the largest value. So a record may be sent again at any time.
"""

from __future__ import annotations

import csv
import fcntl
import json
import math
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from seatrial.errors import Unavailable, UsageError
from seatrial.events.log import READ_BYTES, LogReader, Progress, Slice, rotate
from seatrial.events.parts import ingest
from seatrial.events.schema import OUTCOME_SCHEMA, columns_to_table, to_micros

MAX_VALUE = 1e9
"""Largest size of a value: sums are kept in whole millionths of 64-bit integers."""

MAX_NAME = 500
MOST_ITEMS = 100
"""Items that one record may name."""

_FIELDS = frozenset({"model", "key", "name", "value", "time", "revision", "item", "items"})
_encode = json.JSONEncoder(ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class Outcome:
    """``name`` of the prediction ``key`` had ``value`` from ``time`` on; a correction has a higher ``revision``.

    ``item``: what of a ranked list it is about, e.g. the item that was clicked.
    """

    model: str
    key: str
    name: str
    value: float
    time: datetime
    revision: int = 0
    item: str | None = None

    @classmethod
    def parse_all(cls, record: object, *, model: str | None = None, where: str = "outcome") -> Iterator[Outcome]:
        """As ``parse``; of a record with ``items``, a list, one outcome for each, worth 1 unless it says otherwise."""
        if not isinstance(record, dict) or "items" not in record:
            yield cls.parse(record, model=model, where=where)
            return
        items = record["items"]
        if not isinstance(items, list) or not 1 <= len(items) <= MOST_ITEMS or "item" in record:
            raise UsageError(
                "ST0503", f"{where}: 'items' is a list of 1 to {MOST_ITEMS} ids.", remedy="One alone is an 'item'."
            )
        rest = {"value": 1, **{name: value for name, value in record.items() if name != "items"}}
        for item in items:
            yield cls.parse({**rest, "item": item}, model=model, where=where)

    @classmethod
    def parse(cls, record: object, *, model: str | None = None, where: str = "outcome") -> Outcome:
        """Check one record (a mapping) and make it an outcome; ``model`` fills in where the record has none.

        Raises UsageError (ST0501 to ST0505), naming ``where`` and the field.
        """
        if not isinstance(record, dict | Mapping):  # asked for a dict first: an abstract type is slow to tell
            raise UsageError("ST0501", f"{where}: an outcome is an object, not {type(record).__name__}.")
        if not record.keys() <= _FIELDS:
            unknown = min(str(name) for name in record.keys() - _FIELDS)
            raise UsageError(
                "ST0502", f"{where}: unknown field '{unknown}'.", remedy=f"Fields: {', '.join(sorted(_FIELDS))}."
            )
        named = record.get("model") or model
        return cls(
            model=_word(named, "model", where),
            key=_word(record.get("key"), "key", where),
            name=_word(record.get("name"), "name", where),
            value=_value(record.get("value"), where),
            time=_time(record.get("time"), where),
            revision=_revision(record.get("revision"), where),
            item=None if record.get("item") is None else _word(record["item"], "item", where),
        )


def parse_ndjson(body: bytes, *, model: str | None = None) -> list[Outcome]:
    """Outcomes of a body with one JSON object a line. All or nothing: a bad line is an error that names it."""
    lines = [(f"line {n}", line) for n, line in enumerate(body.split(b"\n"), start=1) if line.strip()]
    records = _at_once([line for _, line in lines])
    if records is None:
        records = [_loads(line, where) for where, line in lines]
    told = zip(lines, records, strict=True)
    return [found for (where, _), record in told for found in Outcome.parse_all(record, model=model, where=where)]


def _at_once(lines: Sequence[bytes]) -> list[Any] | None:
    """The document of each line, four times as fast as one by one; None where that cannot be told.

    No string reaches over a line's end, and what holds other values is no outcome: so where there are as many documents
    as lines, each line is one.
    """
    try:
        found: list[Any] = json.loads(b"[" + b",\n".join(lines) + b"]")
    except (ValueError, RecursionError):
        return None
    return found if len(found) == len(lines) else None


def read_file(path: Path, *, model: str | None = None) -> list[Outcome]:
    """Outcomes of a ``.csv``, ``.parquet``, ``.ndjson`` or ``.jsonl`` file; a bad row is an error that names it."""
    suffix = path.suffix.lower()
    if not path.is_file():
        raise UsageError("ST0506", f"outcomes file {path} does not exist.", remedy="Correct the path.")
    if suffix in (".ndjson", ".jsonl"):
        return parse_ndjson(path.read_bytes(), model=model)
    if suffix not in (".csv", ".parquet"):
        raise UsageError(
            "ST0507", f"{path.name}: outcomes are read from .csv, .parquet, .ndjson or .jsonl files.",
            remedy="Columns: model, key, name, value, time.",
        )  # fmt: skip
    rows = _csv(path) if suffix == ".csv" else _parquet(path)
    try:
        return [
            outcome
            for n, row in enumerate(rows, start=1)
            for outcome in Outcome.parse_all(row, model=model, where=f"{path.name} row {n}")
        ]
    except (csv.Error, UnicodeDecodeError, pa.ArrowException) as error:
        raise UsageError(
            "ST0728", f"{path.name} cannot be read as {suffix}: {error}.",
            remedy="CSV is UTF-8 with the columns in its first line.",
        ) from None  # fmt: skip


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
        """Keep outcomes; they are on disk when this returns. Returns how many.

        Raises Unavailable when they cannot be written; then none of them is kept.
        """
        received = to_micros(self._clock())
        lines = [_line(record, received) for record in records]
        if not lines:
            return 0
        try:
            with self._lock:
                self._write("".join(lines).encode())
        except OSError as error:
            raise Unavailable(
                "ST0520", f"the outcomes were not kept: {error.strerror}.",
                remedy="Make room on the disk and send them again.",
            ) from error  # fmt: skip
        return len(lines)

    def convert(self, *, watermark: datetime | None = None) -> int:
        """Make parts of what was appended since; returns the number of records.

        ``watermark``: as in ``capture.convert``: what comes after a look was taken is received after that look.
        """
        lifted = None if watermark is None else to_micros(watermark) + 1
        return ingest(self._opened(), self._progress, self.directory, lambda lines: _tables(lines, lifted))

    def rotate(self) -> None:
        """Put what is there aside; once it is converted, the parts are all there is."""
        with _appending(self.path):  # whoever waits to append opens the new log
            rotate(self.path)
        self.path.touch(mode=0o600)

    def scrub(self) -> None:
        """Overwrite what was converted and is still in the log."""
        self._opened().scrub(self._progress)

    def close(self) -> None:
        """Let go of the log; what was converted stays converted."""
        if self._reader is not None:
            self._reader.close()

    def _opened(self) -> LogReader:
        if self._reader is None:
            self._reader = _Reader(self.path, self._progress.load())
        return self._reader

    def _write(self, data: bytes) -> None:
        with _appending(self.path) as log:
            size = os.fstat(log).st_size
            if size and os.pread(log, 1, size - 1) != b"\n":
                data = b"\n" + data  # a crash tore the last line; nobody was told that it is kept
            try:
                while data:
                    data = data[os.write(log, data) :]
                os.fsync(log)
            except OSError:
                os.ftruncate(log, size)
                raise


class _Reader(LogReader):
    """Reads while nobody appends: what is taken back because it could not be written whole is never seen."""

    def read(self, limit: int = READ_BYTES) -> Slice | None:
        if not self.path.exists():
            return super().read(limit)
        with _appending(self.path):
            return super().read(limit)


@contextmanager
def _appending(path: Path) -> Iterator[int]:
    """The log, open and locked: for one writer among threads and processes. The kernel unlocks it when we die."""
    while True:
        log = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(log, fcntl.LOCK_EX)
            if _is_at(path, log):
                yield log
                return
        finally:
            os.close(log)


def _is_at(path: Path, log: int) -> bool:
    """Whether the open file still has the name: it may have been rotated while we waited for the lock."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(log))
    except FileNotFoundError:
        return False


def _line(record: Outcome, received: int) -> str:
    document = [record.model, record.key, record.name, record.value, to_micros(record.time), record.revision, received]
    return _encode(document if record.item is None else [*document, record.item]) + "\n"


def _tables(lines: bytes, lifted: int | None) -> dict[str, pa.Table]:
    rows: dict[str, list[list[Any]]] = {}
    for document in _documents(lines):
        if isinstance(document, list) and len(document) == len(OUTCOME_SCHEMA) - 1:
            document = [*document, None]  # most name no item
        if isinstance(document, list) and len(document) == len(OUTCOME_SCHEMA):
            rows.setdefault(document[0], []).append(document)
    tables = {}
    for model, found in rows.items():
        models, *columns, received, items = (list(column) for column in zip(*found, strict=True))
        received_at = received if lifted is None else [max(moment, lifted) for moment in received]
        tables[model] = columns_to_table([*columns, received_at, models, items], OUTCOME_SCHEMA)
    return tables


def _documents(log: bytes) -> list[Any]:
    """The log's lines; what is blank, or was torn by a crash before it was acknowledged, is left out."""
    lines = [line for line in log.split(b"\n") if line]
    found = _at_once(lines)
    if found is None:
        found = []
        for line in lines:
            with suppress(ValueError):
                found.append(json.loads(line))
    return found


def _loads(line: bytes, where: str) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        remedy = "One JSON object a line; curl keeps the lines of a file with --data-binary."
        raise UsageError("ST0501", f"{where}: not JSON: {error}.", remedy=remedy) from None


def _csv(path: Path) -> Iterator[dict[str, object]]:
    with path.open(newline="", encoding="utf-8-sig") as handle:
        for row in csv.DictReader(handle):
            yield {name or "beyond the last column": cell for name, cell in row.items() if cell not in ("", None)}


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(path).iter_batches():
        for row in batch.to_pylist():
            yield {name: cell for name, cell in row.items() if cell is not None}


def _word(value: object, field: str, where: str) -> str:
    if type(value) is str and 0 < len(value) <= MAX_NAME and value.isascii():
        return value  # nearly always
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME or not _is_unicode(value):
        raise UsageError(
            "ST0503", f"{where}: '{field}' must be text of 1 to {MAX_NAME} characters.",
            remedy="--model NAME gives the model of all rows." if field == "model" else f"Every outcome has a {field}.",
        )  # fmt: skip
    return value


def _is_unicode(text: str) -> bool:
    """JSON can spell half a surrogate pair, which is no character and which no file can hold."""
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


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
        if moment is not None and moment.tzinfo is not None:
            return moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        pass
    raise UsageError(
        "ST0505", f"{where}: 'time' must be a time with its offset, or epoch seconds.",
        remedy="e.g. 2026-03-01T12:00:00Z",
    )  # fmt: skip


def _time_text(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return datetime.fromtimestamp(float(text), UTC)


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
