"""From a snapshot and an event to the next snapshot."""
