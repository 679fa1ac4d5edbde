"""Sends requests to any OpenAI-compatible server and caches the replies on disk."""
