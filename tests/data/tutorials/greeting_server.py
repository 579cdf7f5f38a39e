# 000-b: a greeting server, a thread per connection, no line ends anywhere.
import socket, sys, threading, time

def serve(sock, addr):
    print('Accept new connection from %s:%s...' % addr, flush=True)
    sock.send(b'Welcome!')
    while True:
        data = sock.recv(1024)
        time.sleep(0.05)
        if not data or data.decode('utf-8') == 'exit':
            break
        sock.send(('Hello, %s!' % data.decode('utf-8')).encode('utf-8'))
    sock.close()
    print('Connection from %s:%s closed.' % addr, flush=True)

listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
listener.bind(('127.0.0.1', int(sys.argv[1])))
listener.listen(5)
print('port %d' % listener.getsockname()[1], flush=True)
print('Waiting for connection...', flush=True)
while True:
    threading.Thread(target=serve, args=listener.accept(), daemon=True).start()
