"""The audit log's anchors: signed, kept elsewhere, and held against the log again."""
