# 002-b: a file object reads exactly ten characters and answers with them.
import socket, sys

listener = socket.socket()
listener.bind(('127.0.0.1', int(sys.argv[1])))
listener.listen(1)
print('port %d' % listener.getsockname()[1], flush=True)
connection, addr = listener.accept()
talk = connection.makefile('rw', encoding='utf-8', newline='')
message = talk.read(10)
talk.write('Return your msg:{}'.format(message))
talk.flush()
talk.close()
connection.close()
listener.close()
