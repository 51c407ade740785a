"""The rules: pure, synchronous, no I/O, no clock. Event in, new state and commands out.

health.py    conditions, derived status, judge(): the transition table that docs/states.md is generated from
restart.py   restart intensity and backoff
silence.py   the deadline heap, and the observer's doubt of itself
access.py    who may see and do what
symptoms.py  text or observable -> what it means
"""
