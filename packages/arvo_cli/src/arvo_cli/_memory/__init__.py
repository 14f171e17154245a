"""`arvo memory`: what a machine memory has stored, as a whole."""
