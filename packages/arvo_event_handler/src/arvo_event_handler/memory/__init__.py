"""The kit for those who write a machine memory."""
