"""Networks only; they know nothing of files of patches or of training."""
