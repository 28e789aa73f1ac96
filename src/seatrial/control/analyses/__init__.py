"""Judgement of somebody's own tables, of a model's traffic, and of simulated releases."""
