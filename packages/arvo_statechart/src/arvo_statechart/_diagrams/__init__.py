"""Machines as text that other programs draw: `elements` selects, `dot` and `mermaid` write."""
