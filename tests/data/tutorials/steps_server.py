# 004-c: SO_REUSEADDR, every interface, a backlog of five; prints its clients and what they send.
import socket, sys

s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(('', int(sys.argv[1])))
s.listen(5)
print('port %d' % s.getsockname()[1], flush=True)
while True:
    client, addr = s.accept()
    print('Got connection from', client.getpeername()[0], flush=True)
    said = client.makefile('rb').read()
    print('it said', repr(said), flush=True)
    client.sendall(b'Good day.\n')
    client.close()
