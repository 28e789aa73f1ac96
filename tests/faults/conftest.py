"""Faults are planted in running systems: see ``livesystem``."""

from livefixtures import make as make
