"""Heads on frozen encoders: embeddings computed once, a head fitted on them, a run as any other."""
