"""The life of an experiment: what the data are, what a network must beat, what the runs gave."""
