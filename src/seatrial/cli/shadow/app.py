"""``seatrial shadow``: what a candidate made of the requests that users sent to the champion."""

from __future__ import annotations

import typer

from seatrial.cli.shadow import inputs as shadow_inputs
from seatrial.cli.shadow import report as shadow_report
from seatrial.cli.shadow import standing as shadow_standing

app = typer.Typer(help="Champion and shadow on the same requests.", no_args_is_help=True)
shadow_report.add_to(app)
shadow_inputs.add_to(app)
shadow_standing.add_to(app)
