# Two commands are enough: `make demo` and `make test`. Each makes its own .venv from pinned versions.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
SPARK  := $(VENV)/.installed-spark
RAY    := $(VENV)/.installed-ray
MLFLOW := $(VENV)/.installed-mlflow

.PHONY: demo demo-year test test-slow test-again test-spark test-mlflow test-full spark ray mlflow bench calibrate lint clean

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("seatrial needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12") if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing seatrial and its pinned dependencies into $(VENV) (a minute or two, once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@

demo: $(STAMP)
	@$(BIN)/seatrial demo

demo-year: $(STAMP)
	@$(BIN)/seatrial demo --year

test: $(STAMP) lint
	@$(BIN)/python -m pytest -n auto --dist loadfile -m "not slow"

test-slow: $(STAMP)
	@$(BIN)/python -m pytest -n auto --dist loadfile -m slow

test-spark: spark
	@$(BIN)/python -m pytest tests/engines/test_spark.py -m slow

test-mlflow: mlflow
	@$(BIN)/python -m pytest tests/control/test_live_mlflow.py -m slow

# What failed in the last run, alone on the machine. Fails if nothing did: then it was not a test that stopped it.
test-again: $(STAMP)
	@$(BIN)/python -m pytest --last-failed --last-failed-no-failures none

test-full: test spark ray mlflow test-slow

# Only the tests of Spark need it, and it is large: 300 MB, and of no use without a Java runtime.
spark: $(STAMP)
	@if command -v java >/dev/null; then $(MAKE) --no-print-directory $(SPARK); \
	else echo "No Java runtime (default-jre-headless): Spark is not installed and its tests are skipped."; fi

$(SPARK): $(STAMP)
	@echo "Installing Spark into $(VENV) (a minute or two, once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,spark]'
	@touch $@

# Only the tests of its launcher need it: 80 MB.
ray: $(RAY)

$(RAY): $(STAMP)
	@echo "Installing Ray into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,ray]'
	@touch $@

# Only its tests need an MLflow server, and it does not go with the project's own libraries (it wants an older pyarrow):
# 850 MB in an environment of its own.
mlflow: $(STAMP)
	@$(MAKE) --no-print-directory $(MLFLOW)

$(MLFLOW): constraints-mlflow.txt
	@test -x $(VENV)/mlflow/bin/python || $(PYTHON) -m venv $(VENV)/mlflow
	@echo "Installing an MLflow server into $(VENV)/mlflow (two minutes, once) ..."
	@$(VENV)/mlflow/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-mlflow.txt mlflow scikit-learn
	@touch $@

bench: $(STAMP)
	@$(BIN)/python -m benchmarks --json benchmarks/results.json

calibrate: $(STAMP)
	@$(BIN)/python -m benchmarks.calibration --json benchmarks/calibration/results.json --docs docs

lint: $(STAMP)
	@$(BIN)/ruff check src tests benchmarks
	@$(BIN)/ruff format --check src tests benchmarks
	@$(BIN)/mypy
	@$(BIN)/lint-imports

clean:
	rm -rf $(VENV) demo demo-year
