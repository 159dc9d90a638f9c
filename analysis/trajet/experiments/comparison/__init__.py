"""Comparing the variants of a study."""
