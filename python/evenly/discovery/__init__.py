"""Discovery: where a pool's endpoints come from when something other than the configuration file knows them.

    source (dns, srv, file, http, consul, docker) ── answer ──▶ watcher ── last good endpoints ──▶ control

`source.py` is what every source is; each has a module of its own, and `sources.py` is the one table that names them.
`watcher.py` is what they share: the last good endpoints stay while a source fails, it is asked again with backoff, and
no answer is taken beyond its bounds. Nothing here knows the running configuration: whoever watches is told of changes.
"""
