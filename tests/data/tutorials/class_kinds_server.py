# 002-c: the other kinds of socketserver: udp, unix, unix-datagram. Arguments: kind, address.
import socketserver, sys

def answer(message):
    return 'Your msg={}'.format(message.decode('utf-8')).encode('utf-8')

class Stream(socketserver.BaseRequestHandler):
    def handle(self):
        while True:
            message = self.request.recv(1024)
            if not message:
                break
            self.request.sendall(answer(message))

class Datagram(socketserver.BaseRequestHandler):
    def handle(self):
        message, sock = self.request
        sock.sendto(answer(message), self.client_address)

kind, address = sys.argv[1:]
if kind == 'udp':
    server = socketserver.ThreadingUDPServer(('127.0.0.1', int(address)), Datagram)
elif kind == 'unix':
    server = socketserver.ThreadingUnixStreamServer(address, Stream)
else:
    server = socketserver.ThreadingUnixDatagramServer(address, Datagram)
server.daemon_threads = True
with server:
    print('port %d' % server.server_address[1] if kind == 'udp' else 'port 0', flush=True)
    server.serve_forever()
