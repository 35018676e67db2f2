"""Many runs together: cross-validation, the leakage gap, and runs compared."""
