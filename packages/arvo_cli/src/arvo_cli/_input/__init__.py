"""Lines of the input, and the requests that they are."""
