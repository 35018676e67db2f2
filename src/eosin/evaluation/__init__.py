"""NumPy in, numbers out; never torch."""
