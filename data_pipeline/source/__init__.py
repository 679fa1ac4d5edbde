"""Python text as data: calls, literals, scopes, fingerprints, quotes, edits.

Standard library only.
"""
