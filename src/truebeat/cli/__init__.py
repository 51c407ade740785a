"""The command line. A command's module is imported when the command is called, so that `--help` and `ps` are quick.

main.py        the table of commands, and the one place where an error becomes a line and an exit code
exits.py       exit codes
connection.py  which server: environment, else what `up` left in the data directory
output.py      text that came from agents made harmless; tables, JSON
looks.py       how a status and a time look
ps.py show.py watch.py events.py restart.py remove.py token.py migrate.py doctor.py
up.py serve.py fleet.py run.py
demo.py story.py stage.py
"""
