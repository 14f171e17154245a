"""A bank: accounts, transfers by reactions, and a table of balances, over any store of events."""
