"""Runs the golden vectors: two small languages, a comparison, and one adapter per area."""
