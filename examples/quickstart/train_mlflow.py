"""Two models, saved as MLflow saves them: model-1 and a better one, model-2."""

import numpy as np
import pandas as pd
from mlflow.sklearn import save_model
from sklearn.linear_model import LogisticRegression

random = np.random.default_rng(0)
visits = pd.DataFrame({"pages": random.integers(1, 10, 1000), "minutes": random.uniform(0, 15, 1000)})
chance = 1 / (1 + np.exp(1.0 - 0.5 * visits["pages"] + 0.2 * visits["minutes"]))
bought = random.random(1000) < chance

for name, strength in (("model-1", 0.001), ("model-2", 1.0)):
    model = LogisticRegression(C=strength).fit(visits, bought)
    save_model(model, name, pyfunc_predict_fn="predict_proba")  # a score, not a class
