"""Alerts: what becomes one, where they go, and how they get there."""
