"""The workspace side: one agent identity, run by two processes, so that the one that tells is not the one judged.

config.py      RunConfig: what a supervisor and its worker are told, as JSON in argv (never the token)
supervisor.py  the supervisor's loop: one thread, selectors; performs what the brain commands
brain.py       the supervisor's rules, pure: events in, commands out; when to beat, restart, redial, stop
link.py        the supervisor's WebSocket to the server
child.py       one generation of the worker: its process, its pipe, its last words
processes.py   whole process trees: find, kill, reap after a crash, die with the parent
pipe.py        lines over the pipe between supervisor and worker, bounded
tokens.py      the workspace's token, re-read when it was refused
logs.py        log lines that can't be forged and never block
worker.py      the worker: asyncio, the executor, the turns
wedge.py       how an executor admits that its runtime hangs
executors/     what runs a turn: python, command, claude
"""
