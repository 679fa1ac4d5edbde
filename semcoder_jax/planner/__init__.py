"""Plans training on TPUs, with the TPU compiler but without a TPU: memory and step time."""
