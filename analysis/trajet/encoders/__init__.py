"""Encoders that a config can name in place of spaCy's own."""
