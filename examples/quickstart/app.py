"""How likely does a visit end in a purchase? Three versions of one model, each behind a URL of its own."""

from collections.abc import Callable
from math import exp

from fastapi import FastAPI
from pydantic import BaseModel


class Visit(BaseModel):
    pages: int
    minutes: float


def serve(logit: Callable[[Visit], float]) -> FastAPI:
    app = FastAPI()

    @app.post("/predict")
    def predict(visit: Visit) -> dict[str, float]:
        return {"score": 1 / (1 + exp(-logit(visit)))}

    return app


v1 = serve(lambda visit: 0.4 * visit.pages - 2.0)
v2 = serve(lambda visit: 0.5 * visit.pages - 0.2 * visit.minutes - 1.0)
v3 = serve(lambda visit: 0.5 * visit.pages - 0.2 * visit.minutes + 0.5)
