"""`arvo send`: lines of the input to workers."""
