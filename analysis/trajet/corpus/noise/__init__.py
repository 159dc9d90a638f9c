"""What people, their keyboards and their telephones do to a sentence, with the labels kept right.

Each noise works on segments and leaves their borders alone, so a span is always what is written.
"""

from trajet.corpus.noise.basis import Noise
from trajet.corpus.noise.habits import HABITS, NOISES, Habit, disturb
from trajet.corpus.noise.letters import strip_accents

__all__ = ["HABITS", "NOISES", "Habit", "Noise", "disturb", "strip_accents"]
