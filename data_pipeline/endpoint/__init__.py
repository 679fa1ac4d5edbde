"""One client for any OpenAI-compatible server, and its replies kept on disk."""
