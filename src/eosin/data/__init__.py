"""Files -> one packed store -> arrays. NumPy and polars; never torch."""
