# 004-b: asks for a file by HTTP/1.0, flushes, shuts its writing side down, copies the answer.
import socket, sys

s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
s.connect(('127.0.0.1', int(sys.argv[1])))
out = s.makefile('rw', encoding='utf-8', newline='')
out.write('GET %s HTTP/1.0\r\n\r\n' % sys.argv[2])
out.flush()
s.shutdown(socket.SHUT_WR)
while True:
    data = s.recv(2048)
    if not data:
        break
    sys.stdout.buffer.write(data)
