"""Work that goes on beside the requests, each file named by its duty.

tasks.py         how background work is started and kept alive
silence_watch.py expires leases, and doubts itself first
lease_flusher.py writes the stamps of the last second
event_pruner.py  drops old events
task_pruner.py   drops old tasks that have ended
notification_pruner.py  drops old notifications, and the oldest of too many
incident_keeper.py  makes incidents of reports that none opened for, drops old ones
stuck_restarter.py  orders a restart of what stays stuck by this server's own finding
"""
