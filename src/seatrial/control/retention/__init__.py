"""How long records are kept, what holds them longer, and deleting what is left."""
