"""Certificates that Evenly gets issued by itself, over ACME (RFC 8555).

    keeper ── when? ──▶ renewal (pure)
      │
      ├── whom? ──▶ issuing ──▶ conversation (certbot's `acme`, blocking, in threads of its own)
      │                └──▶ responder: how a host is shown to be ours; played by `control`
      └── kept in ──▶ store (a protocol; `directory.py` is the one that there is)

    stapling ── what does its issuer say of it? ──▶ responses (asks) ──▶ ocsp (pure: judges the answer)

`keeper.py` is the life of one certificate: issued, renewed in time, asked for again with backoff when that fails, while
the one before stays. Nothing here knows the running configuration: whoever follows keepers is told of what is new.
Time and random numbers are passed in.
"""
