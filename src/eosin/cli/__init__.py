"""The commands: one function each; heavy parts are imported inside the function."""
