"""What fits on which TPU and how long it takes, by the TPU compiler, without a TPU."""
