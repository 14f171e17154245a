"""From what user code returned to events: `Emit`, its domain, and what makes the events.

* `_emit`: what user code returns
* `_domain`: which of several places outside an event goes to
* `_child_subject`: the subject under which a workflow starts another one
* `_emission`: the one place where outgoing events are made
"""
