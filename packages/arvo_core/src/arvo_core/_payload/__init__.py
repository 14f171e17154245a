"""From a Python type to the JSON object that an event carries, and back.

`payload` parses and writes, and calls the others. When it is made, `core_schema` reads what pydantic
knows of the type, `lossy_fields` finds what could never be read again, and `fidelity` says what must
be compared. `wire_form` writes JSON's own kinds in one pass, by a schema that `wire_schema` makes.
All else takes the longer way: `left_out` names the members that are absent, `lost_numbers` finds
numbers that JSON does not have, `changed_values` what is read as something else, and `own_functions`
whose function changed it. `collector` lets Python's garbage collector rest meanwhile.
"""
