"""Memories and transports by URL, and what is stored there."""
