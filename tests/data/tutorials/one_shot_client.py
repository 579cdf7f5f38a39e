# 002-a, 002-b: sends its argument in one piece, reads the answer to the end.
import socket, sys

s = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
s.sendall(sys.argv[2].encode('utf-8'))
answer = b''
while True:
    piece = s.recv(1024)
    if not piece:
        break
    answer += piece
sys.stdout.buffer.write(answer)
s.close()
