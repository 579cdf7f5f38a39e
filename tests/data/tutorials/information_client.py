# 004-a: prints each step of connecting, then both addresses.
import socket, sys

print('Creating socket...', end=' ')
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
print('done.')
print('Connecting to remote host on port %s...' % sys.argv[1], end=' ')
s.connect(('127.0.0.1', int(sys.argv[1])))
print('done.')
print('Connected from', s.getsockname())
print('Connected to', s.getpeername())
