"""Approvals of releases: who a person is, what is asked of whom, what was signed, and whether that is enough."""
