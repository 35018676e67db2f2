"""From a run folder to files that answer the same without torch."""
