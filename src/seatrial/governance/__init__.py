"""How releases are watched over: what went wrong and how often, and whether the way home is rehearsed. Pure."""
