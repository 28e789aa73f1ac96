"""The running system: the reconcile loop, the collector, the supervisor, and the operations every face calls."""
