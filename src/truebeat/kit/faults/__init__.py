"""What the kit does to a workspace, and the agents that lie.

scene       what a fault process and the kit share: the moment a fault took effect, orders, one lie only once
outside     what is done from the outside: signals, a stalled server, a starved machine, an order, a task
worker      a genuine worker with a saboteur in its main thread
liar        a worker that only pretends, frame by frame
runtime     an NDJSON runtime for the command executor that lies when it is told to
functions   the same for the python executor
claude_cli  a stand-in for the Claude CLI
messages    a stand-in for the Messages API, for the genuine CLI
"""
