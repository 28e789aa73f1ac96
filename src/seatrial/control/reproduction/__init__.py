"""A version made again from its lineage, and held against what was registered."""
