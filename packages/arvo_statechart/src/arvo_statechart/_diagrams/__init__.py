"""Machines as text that other programs draw."""
