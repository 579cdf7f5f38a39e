# 003: one message out, one answer in, shown as Python shows bytes.
import socket, sys

with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
    s.connect(('127.0.0.1', int(sys.argv[1])))
    s.sendall(b'Hello, world')
    data = s.recv(1024)
print('Received', repr(data))
