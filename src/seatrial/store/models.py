"""Models and their versions. Every change is entered in the audit log, in the same transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, func, insert, select, update

from seatrial.errors import Conflict, NotFound
from seatrial.ids import ModelName, VersionNumber
from seatrial.registry.contract import Contract
from seatrial.registry.lifecycle import Operation, Stage, transition
from seatrial.registry.lineage import ArtifactLineage
from seatrial.registry.provenance import require_provenance
from seatrial.registry.safety import Safety
from seatrial.registry.version import Model, ModelVersion, Serving, Source
from seatrial.store import codec
from seatrial.store.audit import AuditLog
from seatrial.store.canonical import as_utc
from seatrial.store.pointers import PointerMove, PointerName, Pointers
from seatrial.store.schema import models, versions

LARGEST: Final = 2**31 - 1
"""What the column of a version's number holds, on both databases."""


class Models:
    def __init__(self, connection: Connection, audit: AuditLog) -> None:
        self._db = connection
        self._audit = audit
        self._pointers = Pointers(connection, audit)

    def create_model(self, model: Model, *, actor: str, now: datetime) -> Model:
        if self._find_model(model.name) is not None:
            raise Conflict("ST0640", f"there is a model {model.name!r} already.", remedy="Register a version of it.")
        facts = {name: getattr(model, name) for name in ("name", "owner", "purpose", "unit_header")}
        agreed = {"contract": codec.dump_contract(model.contract), "safety": codec.dump_safety(model.safety)}
        self._db.execute(insert(models).values(**facts, **agreed, created_at=now, created_by=actor))
        self._audit.append(actor, "model.create", model.name, {**facts, "contract": model.contract.document()}, now)
        return model

    def configure(self, name: str, contract: Contract, *, actor: str, now: datetime) -> Model:
        """Agree on something else. The same again changes nothing."""
        model = self.get_model(name)
        if model.contract != contract:
            changed = update(models).where(models.c.name == name).values(contract=codec.dump_contract(contract))
            self._db.execute(changed)
            detail = {"before": model.contract.document(), "after": contract.document()}
            self._audit.append(actor, "model.configure", name, detail, now)
        return replace(model, contract=contract)

    def secure(self, name: str, safety: Safety, *, actor: str, now: datetime) -> Model:
        """Treat the model more or less carefully from now on. The same again changes nothing."""
        model = self.get_model(name)
        if model.safety != safety:
            self._db.execute(update(models).where(models.c.name == name).values(safety=codec.dump_safety(safety)))
            detail = {"before": model.safety.document(), "after": safety.document()}
            self._audit.append(actor, "model.safety", name, detail, now)
        return replace(model, safety=safety)

    def get_model(self, name: str) -> Model:
        model = self._find_model(name)
        if model is None:
            raise NotFound("ST0631", f"there is no model {name!r}.", remedy="See `seatrial model list`.")
        return model

    def list_models(self) -> tuple[Model, ...]:
        return tuple(_model(row) for row in self._db.execute(select(models).order_by(models.c.name)))

    def register_version(
        self,
        model: str,
        serving: Serving,
        lineage: ArtifactLineage | None,
        *,
        actor: str,
        now: datetime,
        source: Source = "registered",
        tags: Mapping[str, str] | None = None,
        signature: str = "",
    ) -> ModelVersion:
        """Add a version in stage ``None``, numbered one above the highest.

        A ``registered`` version needs a complete lineage (``UsageError`` names what is missing); an ``adopted`` one
        is somebody else's endpoint, and is marked so for ever.
        """
        owner = self.get_model(model)
        name = owner.name
        if source == "registered" and lineage is not None:
            require_provenance(lineage.data, owner.safety.impact, model=name)
        version = ModelVersion(
            model=name,
            number=self._next_number(name),
            stage=Stage.NONE,
            lineage=lineage,
            serving=serving,
            source=source,
            created_at=as_utc(now),
            created_by=actor,
            tags=dict(tags or {}),
            signature=signature,
        )
        row = _version_row(version)
        self._db.execute(insert(versions).values(row))
        detail = {"serving": serving, "lineage": lineage, "tags": version.tags}
        verb = "version.register" if source == "registered" else "version.adopt"
        self._audit.append(actor, verb, _object(name, version.number), detail, now)
        return version

    def get_version(self, model: str, number: int) -> ModelVersion:
        query = select(versions).where(versions.c.model == model, versions.c.number == number)
        row = self._db.execute(query).first() if 0 < number <= LARGEST else None
        if row is None:
            self.get_model(model)
            raise NotFound(
                "ST0633", f"there is no version {model} v{number}.", remedy=f"See `seatrial model show {model}`."
            )
        return _version(row)

    def list_versions(self, model: str, stage: Stage | None = None) -> tuple[ModelVersion, ...]:
        """The versions of a model by number; of one stage, if given."""
        self.get_model(model)
        query = select(versions).where(versions.c.model == model)
        if stage is not None:
            query = query.where(versions.c.stage == stage.value)
        return tuple(_version(row) for row in self._db.execute(query.order_by(versions.c.number)))

    def set_stage(
        self,
        model: str,
        number: int,
        target: Stage,
        *,
        actor: str,
        now: datetime,
        expected: Stage | None = None,
        operation: Operation = Operation.TRANSITION,
        reason: str = "",
    ) -> ModelVersion:
        """Move a version to ``target``.

        Raises ``IllegalTransition`` if the table does not have the move, and ``Conflict`` if the version is not in the
        ``expected`` stage, or another version of the model is in Production.
        """
        current = self.get_version(model, number).stage
        if expected is not None and current is not expected:
            raise Conflict("ST0641", f"{model} v{number} is in {current}, expected {expected}.")
        stage = transition(current, target, model=model, version=number, operation=operation)
        if stage is Stage.PRODUCTION:
            self._check_production_is_free(model)
        key = (versions.c.model == model, versions.c.number == number)
        self._db.execute(update(versions).where(*key).values(stage=stage.value))
        detail = {"from": current, "to": stage, "reason": reason}
        self._audit.append(actor, f"stage.{operation}", _object(model, number), detail, now)
        return self.get_version(model, number)

    def pointers(self, model: str) -> dict[PointerName, VersionNumber]:
        """The pointers of a model that are set."""
        return self._pointers.of(self.get_model(model).name)

    def pointer_history(self, model: str, name: PointerName | None = None) -> tuple[PointerMove, ...]:
        """All moves of a model's pointers (or of one), oldest first."""
        return self._pointers.history(model, name)

    def move_pointer(
        self,
        model: str,
        name: PointerName,
        *,
        expected: int | None,
        to: int | None,
        actor: str,
        now: datetime,
        reason: str = "",
    ) -> None:
        """Compare-and-swap; ``Conflict`` names who holds the pointer. None is a pointer that is not set."""
        self._pointers.move(model, name, expected=expected, to=to, actor=actor, now=now, reason=reason)

    def _find_model(self, name: str) -> Model | None:
        row = self._db.execute(select(models).where(models.c.name == name)).first()
        return None if row is None else _model(row)

    def _next_number(self, model: ModelName) -> VersionNumber:
        highest = self._db.execute(select(func.max(versions.c.number)).where(versions.c.model == model)).scalar()
        return VersionNumber((highest or 0) + 1)

    def _check_production_is_free(self, model: str) -> None:
        for champion in self.list_versions(model, Stage.PRODUCTION):
            raise Conflict(
                "ST0642",
                f"{champion.name} is in Production.",
                remedy="A model has one version in Production: promote, so that the champion becomes the Standby.",
            )


def _object(model: str, number: int) -> str:
    return f"{model}/{number}"


def _model(row: Row[Any]) -> Model:
    contract, safety = codec.load_contract(row.contract), codec.load_safety(row.safety)
    return Model(row.name, row.owner, row.purpose, row.unit_header, contract, safety)


def _version(row: Row[Any]) -> ModelVersion:
    return ModelVersion(
        model=row.model,
        number=row.number,
        stage=Stage(row.stage),
        lineage=None if row.lineage is None else codec.load_lineage(row.lineage),
        serving=codec.load_serving(row.serving),
        source=row.source,
        created_at=row.created_at,
        created_by=row.created_by,
        tags=codec.load_tags(row.tags),
        signature=row.signature or "",
    )


def _version_row(version: ModelVersion) -> dict[str, Any]:
    return {
        "model": version.model,
        "number": version.number,
        "stage": version.stage.value,
        "source": version.source,
        "lineage": None if version.lineage is None else codec.dump(version.lineage),
        "serving": codec.dump(version.serving),
        "tags": codec.dump(version.tags),
        "created_at": version.created_at,
        "created_by": version.created_by,
        "signature": version.signature or None,
    }
