"""The benchmarks: every module here is imported and registers its own."""
