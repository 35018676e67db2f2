"""Networks only; independent of patch files and of training."""
