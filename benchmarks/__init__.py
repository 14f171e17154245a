"""Benchmarks of Arvo. Run `uv run python -m benchmarks --help`; see README.md in this folder."""
