"""Run by the Python of the MLflow server's environment: logs and registers models. Arguments: URL NAME KIND..."""

import json
import sys

import mlflow
import pandas as pd
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression

url, name, *kinds = sys.argv[1:]
mlflow.set_tracking_uri(url)
values, truth = make_classification(200, 4, random_state=0)
table = pd.DataFrame(values, columns=list("abcd"))

for nth, kind in enumerate(kinds):
    with mlflow.start_run() as run:
        model = LogisticRegression(C=0.1 * (nth + 1)).fit(table, truth)
        if kind != "orphan":
            mlflow.set_tag("mlflow.source.git.commit", f"1f0c2aa{nth}")
            mlflow.log_input(mlflow.data.from_pandas(table, name="loans"), context="training")
        mlflow.log_params({"C": 0.1 * (nth + 1)})
        mlflow.log_metric("auc", 0.9)
        predict = "predict" if kind == "labels" else "predict_proba"
        logged = mlflow.sklearn.log_model(
            model, name="model", input_example=table.head(2), pyfunc_predict_fn=predict,
            pip_requirements=["scikit-learn"], registered_model_name=name,
        )  # fmt: skip
    print(json.dumps({"run": run.info.run_id, "uri": logged.model_uri}))
