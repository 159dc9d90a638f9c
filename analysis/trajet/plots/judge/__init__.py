"""Pictures of what `trajet.judge` finds; they read its tables, never a live model."""
