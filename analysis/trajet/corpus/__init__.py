"""From hand-written frames and places to labelled documents."""
