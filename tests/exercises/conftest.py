"""A running system in a temporary directory: see ``livesystem``."""

from livefixtures import make as make
