"""What the optimizer did, step by step: record it (spaCy or bare Thinc) and read it back.

read_trace      a trace file as tidy frames
trace_updates   record a bare Thinc loop
OptimizerTrace  record a spaCy run; configs name it trajet.OptimizerTrace.v1
"""

from trajet.trace.read import Trace, read_trace
from trajet.trace.spacy_run import OptimizerTrace
from trajet.trace.thinc_loop import trace_updates

__all__ = ["OptimizerTrace", "Trace", "read_trace", "trace_updates"]
