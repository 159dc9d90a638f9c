"""Studies: many trainings in a database, workers that take them from there, the file they are exported to."""
