"""One file a revision; ``migrate.HEAD`` names the newest."""
