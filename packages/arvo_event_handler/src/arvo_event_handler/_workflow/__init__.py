"""Workflows: how one event is taken through stored state, whether code or a statechart decides.

* `_execution`: the life of one event, from subject to commit, and the record it leads to;
  orchestrators and resumables share it
* `_lease`: keeping a lease while user code runs, and giving it back
* `_stored_record`: what a record says; refuses a damaged one
* `_redelivery`: events seen before, and outputs that may have to be sent again
* `_open_requests`: requests that nobody has answered yet
* `_workflow`: what the execution needs to know of a workflow
* `_workflow_handler`: what orchestrators and resumables share
* `_resumable`, `_resumable_call`, `_stored_context`: workflows written as code
* `_orchestrator`, `_machine`, `_machine_engine`: workflows written as statecharts
"""
