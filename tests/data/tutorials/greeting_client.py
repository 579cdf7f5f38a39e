# 000-c: reads the welcome, introduces three people with one read after each, says exit.
import socket, sys

s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
s.connect(('127.0.0.1', int(sys.argv[1])))
print(s.recv(1024).decode('utf-8'))
for name in (b'Michael', b'Tracy', b'Sarah'):
    s.send(name)
    print(s.recv(1024).decode('utf-8'))
s.send(b'exit')
s.close()
