"""Pieces of a training that a config can name: schedules, optimizers, callbacks, a reader."""
