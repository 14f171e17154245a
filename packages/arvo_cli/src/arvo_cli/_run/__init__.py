"""`arvo run`: every line of the input to its final event."""
