"""SemCoder on JAX: the model, its checkpoints, training, sampling and evaluation."""
