"""What an agent can do to other agents and to its people: delegate work, look after it, see its peers, tell the user.

    desk.py       the functions, over HTTP with the workspace's own token
    place.py      which server, which workspace, whose token; and the turn that is on
    calls.py      those are blocking: a call in a thread, to be awaited or waited for
    in_turn.py    the same for Python code inside a turn: truebeat.delegate, truebeat.peers, truebeat.notify_user
    wording.py    what an agent reads: answers and errors in the platform's words, all else as marked data
    catalog.py    the tools with their names, descriptions and schemas: the same over MCP and in the Claude executor
    mcp_server.py, mcp_http.py   them as an MCP server (extra "mcp"), over stdio and over HTTP

Invariant: nothing that another agent wrote reaches a model outside the data block of domain/envelope.py.
"""
