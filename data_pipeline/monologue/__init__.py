"""Monologues: what a program does when run, in words, written from its trace."""
