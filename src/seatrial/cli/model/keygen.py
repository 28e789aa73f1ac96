"""``seatrial model keygen``: a key that signs artifacts and anchors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seatrial.cli import output


def keygen(
    file: Annotated[Path, typer.Argument(help="Where the private key is written; it must not exist.")],
    as_json: output.Json = False,
) -> None:
    """Make an Ed25519 key: the private one in a file of this user, the public one to be trusted."""
    from seatrial.signing import SigningKey

    public = SigningKey.create(file.expanduser()).public
    if as_json:
        output.data({"schema": "seatrial.key.v1", "file": str(file), "id": public.id, "public": public.text})
    else:
        output.text(f"✔ {file} is a new signing key ({public.id}); trust it in seatrial.yaml:\n"
                    f"signing: {{key: {file}, trusted: [\"{public.text}\"]}}")  # fmt: skip
