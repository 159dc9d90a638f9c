"""The source document's worked examples, recomputed: its numbers, its formula's readings, its sentences."""
