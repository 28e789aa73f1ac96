"""The way home when the control plane is down: kill, revive and rollback straight at the gateway.

A kill needs nothing but the disk: the latch is written first, and is in force at the next start whatever else fails.
Revive and rollback are recorded as well, so they need the store.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from seatrial.control.project import Project
from seatrial.control.recorder import record
from seatrial.control.render import Desired, VersionKey, active_release, desired, route_table
from seatrial.errors import Conflict, NotFound, SeatrialError, Unavailable
from seatrial.gateway.envoy import Envoy
from seatrial.gateway.files import locked
from seatrial.gateway.kill import KillLatch, KillMode, apply_latches, read_latches, remove_latch, write_latch
from seatrial.gateway.routes import Backend, Endpoint, RouteTable
from seatrial.ids import ModelName, VersionNumber
from seatrial.rollout.start import by_hand
from seatrial.store import releases
from seatrial.store.db import Store, Transaction

if TYPE_CHECKING:
    from seatrial.control.operations import Switched
