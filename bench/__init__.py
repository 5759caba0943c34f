"""Evenly beside its peers, measured in one run.

What it is: starts each peer alone on one core, drives it from the other, and compares what it costs.
What it is not: a load test that looks for a maximum rate; the second core saturates first, so rates say little.
Where to start: ``rows/__init__.py`` is the table of what is measured, ``peers/__init__.py`` the table of who is,
``session.py`` the order in which it happens, ``README.md`` how to run it and read what it says.
"""
