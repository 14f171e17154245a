"""From a Python type to the JSON object that an event carries, and back.

`payload` parses and writes, and calls the other modules. When a payload is made, `core_schema`
reads pydantic's schema of the type, `lossy_fields` finds fields that could never be read back, and
`fidelity` decides what must be compared. `wire_form` writes plain JSON types in one pass, with a
schema that `wire_schema` makes. Everything else takes the longer way: `left_out` finds the members
that are absent, `lost_numbers` the numbers that JSON does not have, `changed_values` what is read
back as a different value, and `own_functions` which function changed it. `collector` keeps Python's
garbage collector from running meanwhile.
"""
