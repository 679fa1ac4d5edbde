"""Contains all code that runs inside the sandbox. Standard library only."""
