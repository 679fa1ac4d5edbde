"""Examines the machine: what it can run, what is missing, what disagrees."""
