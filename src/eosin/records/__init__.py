"""What is known of a model, a decision and an evaluation, as typed objects; no torch."""
