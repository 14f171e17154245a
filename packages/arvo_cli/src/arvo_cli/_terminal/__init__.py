"""What people and programs see of a command, and how they end it."""
