"""`arvo workflow`: single workflows."""
