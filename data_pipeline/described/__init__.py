"""Small functions with descriptions that determine them: how to write and how to repair them."""
