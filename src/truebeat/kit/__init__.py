"""The health-lie kit: small programs to try truebeat with.

agent.py   a runtime for the command executor (mode=ndjson), standard library only
"""
