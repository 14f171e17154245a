"""Kills workers at random while workflows run, and counts what is lost."""
