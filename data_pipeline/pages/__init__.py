"""Renders self-contained HTML pages that share one style."""
