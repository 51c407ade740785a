"""PostgreSQL: the only authority. A function here runs named SQL from the .sql file beside it and knows no rules.

sql.py         named queries from the .sql files
database.py    the pool; what a lost database means
embedded.py    a PostgreSQL of our own, from a wheel
migrate.py     migrations/NNNN_name.{up,down}.sql, up and down; schema.sql is their sum, for reading
guard.py       one server per database: an advisory lock
workspaces.py  events.py  tokens.py  leases.py   one noun each
"""
