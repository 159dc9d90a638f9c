"""Pictures of why: what each part of the documented optimizer does, from its mathematics alone, without a run.

Each module has `data(...)`, a named tuple of numbers computed with `trajet.adam`, and `draw(data, ...)`; every
setting is an argument with the documented value as its default. The list of all is in `gallery`.
"""
