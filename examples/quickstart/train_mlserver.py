"""Two models with MLServer's settings beside them: oip-1 and a better one, oip-2."""

import json
from pathlib import Path

import joblib
import numpy as np
from sklearn.linear_model import LogisticRegression

random = np.random.default_rng(0)
visits = np.column_stack([random.integers(1, 10, 1000), random.uniform(0, 15, 1000)])
bought = random.random(1000) < 1 / (1 + np.exp(1.0 - 0.5 * visits[:, 0] + 0.2 * visits[:, 1]))
server = {"host": "127.0.0.1", "parallel_workers": 0}  # this machine only, and one process
settings = {
    "name": "purchase",
    "implementation": "mlserver_sklearn.SKLearnModel",
    "parameters": {"uri": "./model.joblib"},
}

for name, strength in (("oip-1", 0.001), ("oip-2", 1.0)):
    folder = Path(name)
    folder.mkdir()
    joblib.dump(LogisticRegression(C=strength).fit(visits, bought), folder / "model.joblib")
    (folder / "model-settings.json").write_text(json.dumps(settings))
    (folder / "settings.json").write_text(json.dumps(server))
