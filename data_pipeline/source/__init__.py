"""Reads and edits Python source text: calls, literals, scopes, fingerprints, quotes, edits.

Standard library only.
"""
