"""From a run folder and patches to probabilities."""
