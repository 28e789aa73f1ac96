"""What this machine can run, in words for those who read why a step was skipped."""

from __future__ import annotations

import shutil
import subprocess

PATIENCE_S = 20.0


def no_gpu() -> str:
    """Why a step that needs an accelerator cannot run here; empty if it can."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return "no driver: nvidia-smi is not installed"
    try:
        told = subprocess.run(
            [program, "-L"], capture_output=True, text=True, timeout=PATIENCE_S, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"no driver: nvidia-smi does not answer ({type(error).__name__})"
    if told.returncode != 0:
        return f"no driver: nvidia-smi says {(told.stderr or told.stdout).strip().splitlines()[:1]}"
    return "" if "GPU " in told.stdout else "no device: the driver lists none"
