"""Search: trials of a recipe's settings on the validation part, never on test cases."""
