"""Whether an interpreter has the very packages that a version was trained with."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from seatrial.errors import UsageError

_PIN: Final = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^]]*\])?\s*==\s*([^\s;#\\,]+)")
_ASK: Final = """
import importlib.metadata as m, json, sys
def version(name):
    try:
        return m.version(name)
    except m.PackageNotFoundError:
        return None
print(json.dumps({name: version(name) for name in sys.argv[1:]}))
"""


def pins(text: str) -> dict[str, str]:
    """``name==version`` lines of a requirements file; ranges and links pin nothing.

    >>> pins("numpy==2.4.6 ; python_version > '3.10'\\nscipy>=1.14\\n# x==1\\nuvicorn[standard]==0.54.0")
    {'numpy': '2.4.6', 'uvicorn': '0.54.0'}
    """
    found = (_PIN.match(line) for line in text.splitlines())
    return {match[1]: match[2] for match in found if match}


def unlike(pinned: Mapping[str, str], python: Path) -> tuple[str, str] | None:
    """The first package of an interpreter that is not as pinned, as (pinned, found); None if all are.

    Raises UsageError (``ST1586``) for what is no interpreter.
    """
    if not pinned:
        return None
    try:
        done = subprocess.run([python, "-I", "-c", _ASK, *pinned], capture_output=True, timeout=60, check=True)
        versions: dict[str, str | None] = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise UsageError("ST1586", f"'{python}' does not run as Python: {error}.", remedy="--python PATH") from None
    for name, wanted in pinned.items():
        if versions[name] != wanted:
            return f"{name}=={wanted}", f"{name}=={versions[name]}" if versions[name] else f"{name} is not installed"
    return None
