"""All that enters the sandbox. Standard library only."""
