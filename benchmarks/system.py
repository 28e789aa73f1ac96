"""A whole seatrial of its own processes: control plane, gateway, model hosts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.proxies import Upstreams
from seatrial.api.server import shutdown
from seatrial.cli import background
from seatrial.control.operations import Operations
from seatrial.control.project import Project
from seatrial.ids import Digest
from seatrial.processes import free_port
from seatrial.registry.lineage import ArtifactLineage, CodeRef, DataRef, ModelRef
from seatrial.registry.version import Serving
from seatrial.store.db import Store

MODEL = "bench"
_DIGEST = Digest("sha256:" + "0" * 64)
_LINEAGE = ArtifactLineage(CodeRef("0000000", dirty=False), DataRef(_DIGEST, 1), ModelRef(_DIGEST, "none"))


@dataclass(frozen=True)
class System:
    """A running project with one model: version 1 is the champion, version 2 a candidate."""

    project: Project
    api: httpx.Client

    def post(self, path: str, **body: Any) -> Any:
        """Raises httpx.HTTPStatusError for anything but success."""
        return self.api.post(path, json=body).raise_for_status().json()


@contextmanager
def system(root: Path, up: Upstreams) -> Iterator[System]:
    """Started from nothing in ``root``, ended with the block."""
    root.mkdir()
    ports = f"api: {{port: {free_port()}}}\ngateway: {{port: {free_port()}}}"
    (root / "seatrial.yaml").write_text(f"project: bench\n{ports}\n")
    project = Project.open(root)
    project.prepare()
    with Store.open(project.store_url) as store:
        operations = Operations(project, store)
        operations.adopt(MODEL, f"http://127.0.0.1:{up.champion}", actor="bench")
        candidate = Serving(kind="url", url=f"http://127.0.0.1:{up.canary}")
        operations.register(MODEL, candidate, _LINEAGE, actor="bench")
    background.start(project)
    headers = {"authorization": f"Bearer {project.token()}"}
    try:
        with httpx.Client(base_url=project.config.api.url, headers=headers, timeout=60) as api:
            yield System(project, api)
    finally:
        shutdown(project)
