"""What the files of a run and of an evaluation say, as typed objects; never torch."""
