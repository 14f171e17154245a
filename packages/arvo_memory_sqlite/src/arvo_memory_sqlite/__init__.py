"""Machine memory of Arvo in a SQLite file: durable on one machine, nothing to install."""

__all__: list[str] = []
