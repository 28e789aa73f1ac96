"""A running system (``livefixtures``), and one without traffic (``apisystem``)."""

from apisystem import api as api
from apisystem import project as project
from livefixtures import make as make
