"""From sentences to orders: lines in, departure and arrival out."""
