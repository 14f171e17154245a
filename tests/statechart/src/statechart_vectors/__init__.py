"""Runs the statechart vectors: cases with the behaviour of XState written down step by step."""
