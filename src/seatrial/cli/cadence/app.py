"""The commands of ``seatrial cadence``."""

from __future__ import annotations

import typer

from seatrial.cli.cadence import compare, curve, optimise, window

app = typer.Typer(help="How often to train, and on how much: what it costs and what it saves.", no_args_is_help=True)
app.command("optimise")(optimise.optimise)
app.command("compare")(compare.compare)
app.command("curve")(curve.curve)
app.command("window")(window.window)
