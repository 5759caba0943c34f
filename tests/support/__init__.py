"""What end-to-end tests are written with: both ends of the wire and a real balancer between them.

| module | for |
|---|---|
| `wire` | one side of a connection: exact bytes out, messages in, every wait with a deadline |
| `endpoint` | an endpoint that the test itself plays, line by line |
| `server` | endpoints that answer by themselves, in this process or in one that can be killed |
| `balancer` | `evenly run` as a child process: started, ready, watched, ended |
| `load` | clients that ask all the time and count what went wrong |
| `ports` | ports that nobody else can get |

Nothing here sleeps. What takes time is waited for: a datagram, a line of the log, a byte, the end of a process.
"""
