"""Other models' monologues, kept only where the run agrees."""
