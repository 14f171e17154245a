"""Turns what user code returns into events.

* `_emit`: what user code returns
* `_domain`: which of several places outside the system an event goes to
* `_child_subject`: the subject under which a workflow starts another one
* `_emission`: the one place where outgoing events are made
"""
