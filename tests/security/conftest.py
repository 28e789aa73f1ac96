"""A project with a model in a rollout, and its API without a network: see ``apisystem``."""

from apisystem import api as api
from apisystem import project as project
from apisystem import rollout as rollout
