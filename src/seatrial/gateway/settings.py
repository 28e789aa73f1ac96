"""Where one gateway lives and how much it may use."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SOCKET_PATH_LIMIT = 100  # a Unix socket's path has about 104 bytes on macOS, 108 on Linux


@dataclass(frozen=True, slots=True)
class Settings:
    """``directory`` holds everything: configuration, log, admin socket, lock. Sizes in bytes, times in milliseconds."""

    directory: Path
    port: int
    host: str = "127.0.0.1"
    concurrency: int = 1
    flush_ms: int = 200
    capture_bytes: int = 16_384
    max_connections: int = 2_000
    max_heap_bytes: int = 1 << 30
    max_counters: int = 50_000

    @property
    def bootstrap(self) -> Path:
        return self.directory / "bootstrap.json"

    @property
    def live_log(self) -> str:
        return str(self.directory / "log" / "live.jsonl")

    @property
    def shadow_log(self) -> str:
        return str(self.directory / "log" / "shadow.jsonl")

    @property
    def admin_socket(self) -> Path:
        """In the directory; where its path is too long for a socket, in a private directory for temporary files."""
        wanted = self.directory / "admin.sock"
        if len(os.fsencode(wanted)) <= SOCKET_PATH_LIMIT:
            return wanted
        digest = hashlib.sha256(os.fsencode(self.directory)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"seatrial-{os.getuid()}" / f"{digest}.sock"

    def resource(self, kind: str) -> Path:
        """The file of ``cds``, ``lds`` or ``rds``, each in a directory of its own: a rename re-reads a directory."""
        return self.directory / kind / f"{kind}.json"

    def source(self, kind: str) -> dict[str, Any]:
        """Envoy's description of that file: read again whenever something is renamed into its directory."""
        path = self.resource(kind)
        watch = {"path": str(path), "watched_directory": {"path": str(path.parent)}}
        return {"resource_api_version": "V3", "path_config_source": watch}
