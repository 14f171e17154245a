"""Workflows: how one event is taken through stored state, whether code or a statechart decides.

* `_execution`: the life of one event, from subject to commit, and the record it leads to;
  orchestrators and resumables share it
* `_lease`: keeping a lease while user code runs, and releasing it
* `_stored_record`: reads the members of a record; refuses a damaged one
* `_redelivery`: events seen before, and outputs that may have to be sent again
* `_open_requests`: unanswered requests
* `_workflow`: what the execution needs to know about a workflow
* `_workflow_handler`: what orchestrators and resumables share
* `_resumable`, `_resumable_call`, `_stored_context`: workflows written as code
* `_orchestrator`, `_machine`, `_machine_engine`: workflows written as statecharts
"""
