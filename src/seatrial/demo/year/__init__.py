"""A year of flights: when to train again, told by the data, and which of the new models may serve."""
