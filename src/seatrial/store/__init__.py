"""The store: registry, rollouts, decisions, audit chain and settings in SQL; artifacts in a directory by content."""
