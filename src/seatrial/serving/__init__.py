"""The model host: one process in front of every version, for local artifacts and for foreign servers alike."""
