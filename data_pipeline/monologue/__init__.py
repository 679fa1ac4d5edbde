"""Writes monologues from traces: a program's execution, described in words."""
