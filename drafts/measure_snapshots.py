import sys  # run from the project's root
import socket, time
from tests.support.balancer import Balancer
from tests.support.ports import Port
from tests.support.endpoint import Endpoint
from tests.support.server import Servers
from tests.support.wire import Peer
mode=sys.argv[1]; n=int(sys.argv[2]); nroutes=1000
with Endpoint() as ep, Servers("a") as backends:
    b, t = Port("127.0.0.1"), Port("127.0.0.1")
    def text(i):
        routes="".join(f'[[routes]]\nname="r{k}"\nhost="h{k}.example"\npath="/p{k}/*"\npool="app"\nrequest_headers={{ set={{ X-Route = "r{k}-{i}" }} }}\n' for k in range(nroutes))
        return f'workers=1\n[listeners.web]\nbind="{b}"\n[listeners.raw]\nbind="{t}"\nprotocol="tcp"\npool="raw"\n[pools.raw]\nendpoints=["{ep}"]\n[pools.chat]\nendpoints=["{ep}"]\n[pools.app]\nendpoints=["{backends[0]}"]\n[[routes]]\nname="chat"\npath="/chat"\npool="chat"\n'+routes
    with Balancer(text(0)) as bal:
        bal.until_ready()
        bal.admin.timeout=120
        held=[]
        before=bal.memory()
        for i in range(1,n+1):
            if mode=="tcp":
                p=Peer.connect(t.address); p.send("x"); e=ep.accept(); e.read_exactly(1); held.append((p,e))
            elif mode=="ws":
                p=Peer.connect(b.address); p.send("GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
                e,_=ep.serve("HTTP/1.1 101 -\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"); p.read_head(); held.append((p,e))
            elif mode=="idle":
                p=Peer.connect(b.address); p.ask(host="h1.example",target="/p1/x") if False else p.ask("/p1/x",host="h1.example"); held.append((p,None))
            bal.reload(text(i))
            if i in (1,10,n): print(mode,i,"reloads", bal.memory()>>20,"MiB","snapshots",bal.metric("evenly_snapshots"),flush=True)
        print(mode,"before",before>>20,"MiB; after",bal.memory()>>20,"MiB",flush=True)
        for p,e in held: p.close()
