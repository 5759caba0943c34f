"""The control plane: starts the packet path from a configuration, and keeps both going until the process ends.

    origin ── read ──▶ config ── document ──▶ dataplane        signals ─┐
      ▲                                          ▲             watch  ──┼─▶ supervisor ──▶ systemd, logs
      └────────────── reload ────────────────────┘             admin  ──┘        └── upgrade ⇄ predecessor (handover)

Start with `supervisor.py`: `supervise` is the life of the process from top to bottom, `Supervisor` is what the admin
API and the signals may ask of it. Nothing here is on the path of a packet: if all of it stalls, traffic flows on.
The admin API's server is handed in (`admin.py`), because `api` imports this package and not the other way round.
"""
