"""The workspace side: one agent identity, run by two processes, so that the one that tells is not the one judged.

config.py      RunConfig: what a supervisor and its worker are told, as JSON in argv (never the token)
pipe.py        lines over the pipe between supervisor and worker, bounded
processes.py   whole process trees: find, kill, reap after a crash, die with the parent
tokens.py      the workspace's token, re-read when it was refused

The supervisor: small, no agent code.

supervisor.py  the loop: one thread, selectors; performs what the brain commands
brain.py       the rules, pure: events in, commands out; when to beat, restart, redial, stop
events.py      what the brain hears and answers
stages.py      the stages of the worker's life
redial.py      when to try for a link again, pure
link.py        the WebSocket to the server
child.py       one generation of the worker: its process, its pipe, its last words
logs.py        log lines that can't be forged and never block
memory.py      giving memory back

The worker: holds the executor.

worker.py      the process: asyncio, its loops, its end
worker_pipe.py its end of the pipe
turns.py       running turns and counting their outcomes
wedge.py       how an executor admits that its runtime hangs
watch.py       watching the runtime while no turn is on
executors/     what runs a turn: python, command, claude
"""
