"""`arvo dead`: dead letters."""
