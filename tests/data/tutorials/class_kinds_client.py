# 002-c, 002-e: sends each argument as a message and reads one answer after each.
# Arguments: kind (udp, unix, unix-datagram), address, a path of its own, messages.
import socket, sys

kind, address, own = sys.argv[1:4]
if kind == 'udp':
    s, to = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), ('127.0.0.1', int(address))
elif kind == 'unix':
    s, to = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), None
    s.connect(address)
else:
    s, to = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), address
    s.bind(own)
s.settimeout(10)
for message in sys.argv[4:]:
    if to is None:
        s.sendall(message.encode('utf-8'))
    else:
        s.sendto(message.encode('utf-8'), to)
    print(s.recv(1024).decode('utf-8'))
