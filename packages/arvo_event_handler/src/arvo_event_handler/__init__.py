"""Event handlers, resumable workflows and machine memories of Arvo."""

__all__: list[str] = []
