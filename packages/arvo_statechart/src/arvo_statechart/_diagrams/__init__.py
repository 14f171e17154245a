"""Machines as text that other programs draw: `elements` says what, `dot` and `mermaid` say how."""
