"""The process and what is around it: signals, systemd, its descriptor limit, its log, and the files it watches.

Each module is one of these and knows nothing of balancing; `control/life.py` and `control/supervisor.py` put them to
use.
"""
