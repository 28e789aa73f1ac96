"""ML CI: steps, runs, golden outputs, and what of it a release needs to be green."""
