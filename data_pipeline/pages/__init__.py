"""HTML pages that need nothing beside them: one look, one way to fill a template."""
