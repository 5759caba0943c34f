"""The admin API: what the running process tells and lets an operator change, over HTTP.

It decides nothing: every route asks `control.supervisor.Supervisor`. `server.py` opens the socket and runs the app in
the supervisor's event loop; `app.py` lists the routes; `guard.py` says who may ask. Only `server.py` is imported at
start: FastAPI takes longer to import than everything before it, and traffic should not wait for it.
"""
