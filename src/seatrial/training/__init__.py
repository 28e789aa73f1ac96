"""Training runs where they run: as a process of this machine, or as a job of a cluster."""
