"""Whatever runs daughters: the ladder of isolation."""
