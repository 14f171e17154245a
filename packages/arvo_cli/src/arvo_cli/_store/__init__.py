"""`arvo store`: event stores, and the reactions on them."""
