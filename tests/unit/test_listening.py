import socket

from orderengine.host.listening import bound


def test_connections_send_at_once() -> None:
    """An answer is two writes: with Nagle's algorithm the second waits 40 ms for the client's acknowledgement."""
    with bound("127.0.0.1", 0) as listener, socket.create_connection(listener.public.getsockname()):
        connection, _ = listener.public.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
