"""Events, contracts and orchestration subjects of Arvo."""

__all__: list[str] = []
