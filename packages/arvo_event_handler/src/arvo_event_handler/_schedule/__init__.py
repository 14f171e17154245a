"""Schedules: events at the times of a cron expression.

* `_timetable`: when a schedule is due
* `_schedule_workflow`: what it does then
* `_schedule`: the handler, and how it begins without an event
"""
