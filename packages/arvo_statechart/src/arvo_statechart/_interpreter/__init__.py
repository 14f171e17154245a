"""From a snapshot and an event to the next snapshot.

`step` takes the event, and its `configuration` holds the active states. `selection` chooses their
transitions; `plan` works out what a microstep does with them: which states it leaves and enters
(`entry_and_exit`), what the final ones among them cause (`completion`), and which states are active
afterwards. `step` runs the plans until the machine comes to rest. `persistence` stores snapshots and
reads them back; `state_values` converts active states to a state value and back.
"""
