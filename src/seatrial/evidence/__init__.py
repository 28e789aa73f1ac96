"""Mergeable evidence: tallies by stratum, first facts of units, pairs of a shadow, and the snapshot a look judges."""
