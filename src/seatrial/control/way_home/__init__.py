"""The way home: where a model goes, who is proven to serve there, how fast it was, and what works without a store."""
