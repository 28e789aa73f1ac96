"""Numbers in, numbers out: the estimators, boundaries and e-processes that verdicts are made of."""
