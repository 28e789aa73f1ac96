"""Plans, gates and decisions: pure functions of plan, state, evidence and time."""
