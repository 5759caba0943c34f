"""An upgrade: a new process takes over the listening sockets, and the old one drains.

`successor.py` is the old process's side, `predecessor.py` the new one's, and `handover.py` what they say to each other.
Whatever goes wrong before the new process serves, the old one goes on as if nothing had happened.
"""
