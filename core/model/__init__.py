"""The model as a reader: architectures, preprocessing, checkpoints, predicting, explaining, and knowing its limits."""
