"""Whether probabilities and decisions can be relied on; arrays in, numbers out, never torch."""
