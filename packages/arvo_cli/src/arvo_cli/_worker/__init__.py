"""`arvo worker`: handlers over a transport."""
