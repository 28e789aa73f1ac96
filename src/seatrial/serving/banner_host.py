"""The last resort where nobody waits for a decision: an answer that says that there is none of a model."""

from __future__ import annotations

from seatrial.serving import stand_in
from seatrial.serving.asgi import Call, Reply, reply_json
from seatrial.serving.spec import HostSpec


class BannerHost:
    """200 with ``"level": "banner"``: readers are told that they decide without the model."""

    def __init__(self, spec: HostSpec) -> None:
        self.spec = spec

    async def start(self) -> None:
        """There is nothing to load."""

    async def close(self) -> None:
        """There is nothing to let go of."""

    async def ready(self) -> bool:
        return True

    def reread(self, spec: HostSpec) -> None:
        self.spec = spec

    async def handle(self, call: Call) -> Reply:
        return await stand_in.handle(self, call)

    async def answer(self, call: Call) -> Reply:
        message = f"no version of {self.spec.model} answers now: decide without it"
        return reply_json(200, {"level": "banner", "model": self.spec.model, "prediction": None, "message": message})
