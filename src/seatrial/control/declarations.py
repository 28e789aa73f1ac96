"""What is declared of a model, kept in the store and audited.

Errors: ``ST1505`` a declaration that is not one.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError

from seatrial.errors import UsageError
from seatrial.registry.declaration import Declaration
from seatrial.store.db import Transaction

KEY = "declared."
TEMPLATE = """# What people say of a model. Every field may be left out.
intendedUse: ""       # which decision it serves, about whom
users: ""             # who acts on its answers
outOfScope: ""        # what it must not be used for
limits: []            # what is known to go wrong
upstream: []          # models and systems that its inputs come from
downstream: []        # those that take its answers
regulated: []         # the rules it falls under: [SR 26-2]
tierReason: ""        # why it has the tier it has: exposure and purpose
tierConfirmedBy: ""
validateEvery: null   # how long a validation holds: 365d
vendor: ""            # who made it, if not you
"""


def declaration_of(tx: Transaction, model: str) -> Declaration:
    """What is declared; an empty one where nothing is."""
    found = tx.settings.get(KEY + model)
    return Declaration() if found is None else _adapter().validate_python(found.value)


def declare(tx: Transaction, model: str, declaration: Declaration, *, actor: str, now: datetime) -> None:
    """Put it in the place of what was declared before. The same again changes nothing. Raises NotFound."""
    tx.models.get_model(model)
    before = declaration_of(tx, model)
    if declaration != before:
        tx.settings.put(KEY + model, declaration.document(), now)
        detail = {"before": before.document(), "after": declaration.document()}
        tx.audit.append(actor, "model.declare", model, detail, now)


def read_declaration(path: Path) -> Declaration:
    """From a YAML file. Raises UsageError (``ST1505``) that names the field."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _wrong(path, f"cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _wrong(path, f"is not YAML: {error}") from None
    try:
        return _adapter().validate_python(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the document"
        raise _wrong(path, f"{where}: {first['msg']}") from None


@cache
def _adapter() -> TypeAdapter[Declaration]:
    return TypeAdapter(Declaration)


def _wrong(path: Path, what: str) -> UsageError:
    return UsageError(
        "ST1505", f"declaration '{path}': {what}.", remedy="`seatrial model declare --template` has every field."
    )
