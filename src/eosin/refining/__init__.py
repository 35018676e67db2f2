"""Finished runs made better, smaller or newer: ensembles, pruning, retraining."""
