"""Arguments that several commands of ``seatrial model`` take."""

from __future__ import annotations

from typing import Annotated

import typer

Name = Annotated[str, typer.Argument(help="The model.")]
UnitHeader = Annotated[str, typer.Option(help="Request header that carries the unit (user, account, device).")]
