"""Standing shadows: versions that get copies beside the champion."""
