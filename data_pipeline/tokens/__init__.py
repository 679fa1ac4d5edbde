"""From records to the batches of training: tokens, packs planned by index, grain input."""
