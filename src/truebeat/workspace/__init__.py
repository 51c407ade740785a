"""The workspace side: one agent identity, run by two processes, so that the one that tells is not the one judged.

config.py      RunConfig: what a supervisor and its worker are told, as JSON in argv (never the token)
pipe.py        lines over the pipe between supervisor and worker, bounded
processes.py   whole process trees: find, kill, reap after a crash, die with the parent
tokens.py      the workspace's token, re-read when it was refused

The supervisor: small, no agent code.

supervisor.py  the loop: one thread, selectors; performs what the brain commands
brain.py       the rules, pure: events in, commands out; when to beat, restart, stop
  uplink.py      its half that faces the server: when to beat and redial (redial.py), what to repeat
  testimony.py   what is known of one worker, and the beat that tells it
  loop_watch.py  whether the worker's event loop is blocked, in entitled time
  reports.py     what was seen and done, for the incident
  errands.py     tasks on their way down, and what became of them up
  outbox.py      what is held and still has to be told
  budget.py      how many restarts there may be
  desk.py        what these share while one event is handled
events.py      what the brain hears and answers
stages.py      the stages of the worker's life, and the bounds
link.py        the WebSocket to the server
warden.py      keeping one worker: start, hear, measure, end
child.py       one generation of the worker: its process, its pipe, its last words
measure.py     what the kernel says of a process
stack.py       the stack of every thread of a worker, also while it is blocked
logs.py        log lines that can't be forged and never block
memory.py      giving memory back

The worker: holds the executor.

worker.py      the process: asyncio, its loops, its end
keeper.py      loops that are started again when they crash
worker_pipe.py its end of the pipe
work.py        tasks: taken or handed back, canceled, drained; each gets exactly one ending
attempt.py     one attempt at a task as it is told: begun, chunks, its end
turns.py       running turns and counting their outcomes
evidence.py    what can be proved: counters, phases, when the work last moved
watch.py       suspicion, probe, repair, admission
probing.py     one probe, in time that was really available
repair.py      repair in place, and whether to believe it
wedge.py       how an executor admits that its runtime hangs
executors/     what runs a turn: python, command, claude, a2a

Embedded in a process that somebody else wrote (`truebeat.Workspace`): told about, never killed.

embed.py       the context manager, and what runs in that process's own loop
  embed_turns.py   its tasks; embed_task.py: one of them
  embed_restart.py starting over as another generation
  embed_thread.py  the thread that holds the link and watches the loop
  embed_core.py    that thread's rules, pure
  embed_commands.py  what goes into them and comes out
  embed_meter.py   whether the loop moves
  embed_place.py   which workspace it is, and with which token
"""
