# 001-a: one client after another for ever, each message answered with the time before it.
import socket, sys
from time import ctime

listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
listener.bind(('127.0.0.1', int(sys.argv[1])))
listener.listen(5)
print('port %d' % listener.getsockname()[1], flush=True)
while True:
    client, addr = listener.accept()
    print('...connected from:', addr, flush=True)
    while True:
        data = client.recv(1024)
        if not data:
            break
        print(data.decode('utf-8'), flush=True)
        client.send(('[%s] %s' % (ctime(), data.decode('utf-8'))).encode('utf-8'))
    client.close()
