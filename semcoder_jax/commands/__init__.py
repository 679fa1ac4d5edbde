"""The command lines of semcoder_jax: parse, call, print."""
