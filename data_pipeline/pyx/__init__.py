"""Defines PyX and PyX-R: records, prompts, and the TFDS dataset."""
