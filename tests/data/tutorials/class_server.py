# 002-c: socketserver with a thread per request; setup, handle, finish; every message answered.
import socketserver, sys

class Handler(socketserver.BaseRequestHandler):
    def setup(self):
        print('setup', flush=True)

    def handle(self):
        while True:
            message = self.request.recv(1024)
            if not message:
                break
            self.request.sendall('Your msg={}'.format(message.decode('utf-8')).encode('utf-8'))

    def finish(self):
        print('finish', flush=True)

class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = True
    daemon_threads = True

with Server(('127.0.0.1', int(sys.argv[1])), Handler) as server:
    print('port %d' % server.server_address[1], flush=True)
    server.serve_forever()
