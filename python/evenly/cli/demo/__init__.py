"""`evenly demo`: real endpoints, a real balancer and real requests on this machine, to watch for a minute.

`verb.py` is the command and its timetable, `scene.py` starts and ends the processes, `endpoint.py` is a sample
endpoint, `load.py` sends requests, `figures.py` counts, `screen.py` draws.
"""
