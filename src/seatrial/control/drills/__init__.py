"""Drills on the running system: a failure on purpose, found by the gates, and everything as before afterwards."""
