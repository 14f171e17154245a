"""Hints for words of XState 3 and 4, of `setup` and of Python's state machine libraries."""

from typing import Final

# Arguments of Machine(), not keys of the config.
_ACTIONS = "actions are given beside the config: Machine(config, actions={...})"
_GUARDS = "guards are given beside the config: Machine(config, guards={...})"
_ACTORS = "actors are not supported: emit an event, let the host do the work, wait for the answer"
_DELAYS = "delays are given beside the config: Machine(config, delays={...})"
_AFTER = "write 'after': {milliseconds: transition}, or raise_({...}, delay=...)"
_TYPES = "types are for TypeScript's compiler only: leave it out, and annotate your functions"
_SETTING = "a setting of XState 4 that has no counterpart here: leave it out"
_ENTRY = "write 'entry'"
_EXIT = "write 'exit'"
_GUARD = "write 'guard'"
_TRANSITION_ACTIONS = "write 'actions'"
_OWNER = "a transition belongs to the state it leaves: write it into the 'on' of that state"
_NOT_GUARD = "write 'guard': not_(...)"

STATE_WORDS: Final = {
    "invoke": "invoke is not supported: emit an event and wait for the answer",
    "activities": f"a word of XState 4; {_ACTORS}",
    "actions": _ACTIONS,
    "actors": _ACTORS,
    "children": "write 'states'",
    "data": "a word of XState 4: write 'output'",
    "delay": _AFTER,
    "delays": _DELAYS,
    "delimiter": "a setting of XState 4: ids are joined by dots",
    "enter": _ENTRY,
    "final": "write 'type': 'final'",
    "guards": _GUARDS,
    "initial_state": "write 'initial'",
    "name": "a state's name is its key in 'states': write 'id' for one of its own",
    "onEntry": f"a word of XState 3: {_ENTRY}",
    "onError": "belongs to invoke, which is not supported: write the event that says so into 'on'",
    "onExit": f"a word of XState 3: {_EXIT}",
    "on_enter": _ENTRY,
    "on_entry": _ENTRY,
    "on_exit": _EXIT,
    "parallel": "a word of XState 3: write 'type': 'parallel'",
    "predictableActionArguments": _SETTING,
    "preserveActionOrder": _SETTING,
    "schema": _TYPES,
    "schemas": _TYPES,
    "services": f"a word of XState 4; {_ACTORS}",
    "strict": "a setting of XState 4: an event that nothing takes is ignored",
    "timeout": _AFTER,
    "transitions": "write 'on': {event type: transition}, or 'always' for those without an event",
    "tsTypes": _TYPES,
    "types": _TYPES,
}
"""By key of a state, including the root."""

TRANSITION_WORDS: Final = {
    "action": _TRANSITION_ACTIONS,
    "after": f"{_TRANSITION_ACTIONS}; for what follows entering, 'entry' of the target",
    "before": f"{_TRANSITION_ACTIONS}; for what comes before leaving, 'exit' of this state",
    "cond": f"a word of XState 4: {_GUARD}",
    "condition": _GUARD,
    "conditions": f"{_GUARD}; several are and_([...])",
    "delay": "a delay is the key of its transitions in the 'after' of a state",
    "dest": "write 'target'",
    "effect": _TRANSITION_ACTIONS,
    "event": "an event type is the key of its transitions in 'on'",
    "external": "write 'reenter': True",
    "guards": f"{_GUARD}; several are and_([...])",
    "in": "a word of XState 4: write 'guard': state_in(...)",
    "internal": "a word of XState 4: transitions are internal unless they say 'reenter': True",
    "on": "an event type is the key of its transitions in the 'on' of a state",
    "prepare": _TRANSITION_ACTIONS,
    "source": _OWNER,
    "to": "write 'target'",
    "trigger": "an event type is the key of its transitions in 'on'",
    "unless": _NOT_GUARD,
    "validators": _GUARD,
}
"""By key of a transition."""

INITIAL_WORDS: Final = {
    "cond": "the initial child is entered without being asked: write 'always' with a guard there",
    "guard": "the initial child is entered without being asked: write 'always' with a guard there",
    "reenter": "the initial child is entered anew anyway: leave it out",
}
"""By key of an initial transition."""

ACTION_WORDS: Final = {
    "assignment": "write assign({...})",
    "delay": "write raise_({...}, delay=...)",
    "event": "write emit({...}) or raise_({...})",
    "exec": "a word of XState 4: give the function itself, or name it in Machine(actions={...})",
    "guard": "write enqueue_actions(...), which may ask call.check(...)",
    "to": "write emit({...}): the host decides where it goes",
}
"""By key of an action."""

GUARD_WORDS: Final = {
    "and": "write and_([...])",
    "cond": _GUARD,
    "guards": "write and_([...]) or or_([...])",
    "in": "write state_in(...)",
    "not": "write not_(...)",
    "or": "write or_([...])",
    "predicate": "a word of XState 4: give the function itself, or name it in Machine(guards={...})",
    "stateIn": "write state_in(...)",
}
"""By key of a guard."""

EVENT_WORDS: Final = (
    (
        "done.state.",
        "XState 4's word for the end of a state: write 'onDone', or xstate.done.state.",
    ),
    ("done.invoke.", _ACTORS),
    ("error.platform.", _ACTORS),
    ("xstate.done.actor.", _ACTORS),
    (
        "xstate.after(",
        "XState 4's word for a delay: write 'after', or xstate.after.<ms or name>.<id>",
    ),
)
"""By what an event type begins with."""
