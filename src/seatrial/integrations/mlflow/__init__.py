"""MLflow as its users know it: model URIs, registered versions, runs, and ``mlflow models serve``.

Needs the extra ``seatrial[mlflow]`` (mlflow-skinny); imported only when MLflow is asked for something.
"""
