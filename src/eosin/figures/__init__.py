"""Figures: they draw numbers computed elsewhere and compute none."""
