"""A slide and a predictor to a heatmap, and the files that show it; never torch."""
