"""MLflow beside the store: what is decided here is published there, and what is asked there is begun here."""
