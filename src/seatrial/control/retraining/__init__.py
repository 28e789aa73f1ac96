"""The outer circle, live: what is measured starts a run, and what the run makes is registered, checked and released."""
