"""The target: where the handlers come from."""
