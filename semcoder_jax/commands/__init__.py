"""Implements the commands of semcoder_jax: parses arguments, calls the code, prints results."""
