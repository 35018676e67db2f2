"""Slide files to regions of pixels, and where the tissue is; knows no model and never torch."""
