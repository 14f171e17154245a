"""What others do at the same work. None of them is a dependency: `uv run --with` brings them."""
