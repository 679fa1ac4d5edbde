"""Files of the user: written whole or not at all, locked, read line by line."""
