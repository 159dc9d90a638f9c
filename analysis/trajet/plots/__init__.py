"""Pictures of a trace. Each module has `data(trace)`, a named tuple of numbers, and `draw(data, ax=None)`.

`data` needs no matplotlib state and is what tests compare; `draw` changes nothing but the Axes it is handed.
"""
