# 002-c: sends each argument as a message and reads one answer after each.
import socket, sys

with socket.create_connection(('127.0.0.1', int(sys.argv[1]))) as s:
    for message in sys.argv[2:]:
        s.sendall(message.encode('utf-8'))
        print(s.recv(1024).decode('utf-8'))
