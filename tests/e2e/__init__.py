"""Promises to those who run Evenly, each kept or broken by a real process: one file for each promise.

A test is a dialogue: it plays the client, and the endpoint too where bytes matter. Start with `test_messages.py`; the
tools are in `tests/support`.
"""
