"""The HTTP API: thin routes over the operations, documents over the store."""
