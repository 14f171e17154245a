"""From a snapshot and an event to the next snapshot.

`step` takes the event, and its `configuration` knows the active states. `selection` chooses their
transitions; `plan` says what a microstep does about these: which states it leaves and enters
(`entry_and_exit`), what the final ones among them lead to (`completion`), and which states are active
afterwards. `step` runs what is planned until the machine comes to rest. `persistence` stores
snapshots and reads them back; `state_values` leads from active states to their value and back.
"""
