"""What pytest loads when this package is installed, by the entry point in pyproject.toml.

It has nothing to do: pytest rewrites the asserts of every module of a package that has a plugin,
so a failing behaviour of `MachineMemorySuite` shows its values. Nothing else imports it.
"""
