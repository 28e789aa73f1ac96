"""Two models, saved for MLflow (model-1, model-2) and for MLServer (credit-1, credit-2)."""

import json
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
