"""Plugs this package into other evaluation harnesses; each module needs its own extra."""
