"""The engine: what consumes events by leases, in any store."""
