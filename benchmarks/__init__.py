"""What Arvo costs. Run `uv run python -m benchmarks --help`; see README.md beside this file."""
