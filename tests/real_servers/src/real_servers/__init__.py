"""Redis, Valkey and PostgreSQL servers, and a faulty network, for tests and benchmarks."""
