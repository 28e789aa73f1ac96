"""Long after a release: what it did to the metrics whose outcomes come late, and what can be done about it."""
