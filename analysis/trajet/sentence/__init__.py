"""One sentence and the pipeline: a training cycle on it, the weights behind one of its decisions."""
