"""What an agent can do to other agents and to its people: delegate work, look after it, see its peers, tell the user.

    desk.py       the functions, over HTTP with the workspace's own token
    place.py      which server, which workspace, whose token; and the turn that is on
    wording.py    what an agent reads: answers and errors in the platform's words, all else as marked data
    catalog.py    the tools with their names, descriptions and schemas: the same over MCP and in the Claude executor
    mcp_stdio.py, mcp_http.py   them as an MCP server (extra "mcp")

Invariant: nothing that another agent wrote reaches a model outside the data block of domain/envelope.py.
"""
