"""From the config of a machine to the chart that the interpreter runs.

`chart` calls the others: `tree` reads the states and `state_compiler` what is in them, `targets`
finds where transitions lead, and `implementations` makes actions and guards ready to be run, as
`executables`. `keys` and `checks` refuse what means nothing, with the words of `foreign_words`;
`problems` collects what they refuse. `warnings` looks for what is probably not meant.
"""
