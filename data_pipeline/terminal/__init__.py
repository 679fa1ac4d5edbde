"""Writes to a terminal: commands, tables, warnings."""
