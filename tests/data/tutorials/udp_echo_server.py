# 004-d: a UDP echo server; no exception stops it.
import socket, sys, traceback

s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(('127.0.0.1', int(sys.argv[1])))
print('port %d' % s.getsockname()[1], flush=True)
while 1:
    try:
        message, address = s.recvfrom(8192)
        print('Got data from', address, flush=True)
        s.sendto(message, address)
    except (KeyboardInterrupt, SystemExit):
        raise
    except:
        traceback.print_exc()
