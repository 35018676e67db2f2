"""MLflow, TensorBoard, W&B and Trackio told what a run does; the run folder needs none."""
