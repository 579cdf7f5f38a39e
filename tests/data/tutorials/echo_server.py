# 003: everything back until the end of the stream, one caller, one thread.
import socket, sys

with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
    listener.bind(('127.0.0.1', int(sys.argv[1])))
    listener.listen()
    print('port %d' % listener.getsockname()[1], flush=True)
    connection, addr = listener.accept()
    with connection:
        print('Connected by', addr, flush=True)
        while True:
            data = connection.recv(1024)
            if not data:
                break
            connection.sendall(data)
