"""PostgreSQL for the packages of Arvo that keep something in it; not for direct use."""

__all__: list[str] = []
