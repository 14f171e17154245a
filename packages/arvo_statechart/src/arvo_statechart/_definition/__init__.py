"""Compiles the config of a machine to the chart that the interpreter runs.

`chart` calls the others: `tree` reads the states and `state_compiler` their contents, `targets`
resolves targets of transitions, `after` reads the keys of delayed ones, and `implementations`
compiles actions and guards, to `executables`, and `delays` delays.
`keys` and `checks` refuse what would have no effect, with hints from `foreign_words`; `problems` collects
the refusals. `warnings` looks for probable mistakes, `version_differences` for what an earlier version
of XState does otherwise.
"""
