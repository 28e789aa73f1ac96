"""Approvals of releases and of their stages: asked for, signed, held to, and told about."""
