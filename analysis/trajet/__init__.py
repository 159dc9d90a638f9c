"""A French departure/arrival recogniser that shows what its optimizer does.

Import from the modules; this package re-exports nothing, so that hanging the
trace on a config loads the trace and nothing else.
"""
