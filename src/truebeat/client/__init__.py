"""One typed, synchronous HTTP client that the command line and other tools share.

http.py         Client: one request, its token, its errors
credentials.py  where the token comes from, and how it is read again
workspaces.py   list, create, show, restart, remove
events.py       the log by page, and the stream that survives lost connections
tokens.py       issue, list, revoke, rotate
registry.py     what a plain runtime does: register and beat
"""
