# 001-b: a prompt; sends each line without its end, prints the reply; an empty line ends it.
import socket, sys

s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
s.connect(('127.0.0.1', int(sys.argv[1])))
while True:
    try:
        line = input('> ')
    except EOFError:
        break
    if not line:
        break
    s.send(line.encode('utf-8'))
    data = s.recv(1024)
    if not data:
        break
    print(data.decode('utf-8'))
s.close()
