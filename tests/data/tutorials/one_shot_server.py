# 002-a: one connection, one read, one answer, and both sockets are closed.
import socket, sys

listener = socket.socket()
listener.bind(('127.0.0.1', int(sys.argv[1])))
listener.listen(1)
print('port %d' % listener.getsockname()[1], flush=True)
connection, addr = listener.accept()
data = connection.recv(1024)
connection.sendall('已接收到数据 {}'.format(data.decode('utf-8')).encode('utf-8'))
connection.close()
listener.close()
