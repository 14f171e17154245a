"""The pytest plugin of this package, loaded through the entry point in pyproject.toml.

It is empty on purpose: pytest rewrites the asserts of every module of a package that has a plugin, so a
failing test of `EventLogSuite` shows its values. Nothing else imports it.
"""
