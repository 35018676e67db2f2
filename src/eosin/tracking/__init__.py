"""MLflow, TensorBoard, W&B and Trackio follow a run; the run folder needs none of them."""
