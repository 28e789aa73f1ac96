"""A reader of the quickstart."""

from reader import reader as reader
