"""Postgres, Redis and a Solana for a laptop: programs inside wheels, in the foreground under supervision."""

from orderengine.host.embedded.localnet_node import Localnet as Localnet
from orderengine.host.embedded.localnet_node import localnet as localnet
from orderengine.host.embedded.place import SOCKET_NAME as SOCKET_NAME
from orderengine.host.embedded.place import Unavailable as Unavailable
from orderengine.host.embedded.place import data_folder as data_folder
from orderengine.host.embedded.place import free_port as free_port
from orderengine.host.embedded.place import free_ports as free_ports
from orderengine.host.embedded.place import launch_command as launch_command
from orderengine.host.embedded.place import private_folder as private_folder
from orderengine.host.embedded.place import publish as publish
from orderengine.host.embedded.place import secret as secret
from orderengine.host.embedded.place import service_options as service_options
from orderengine.host.embedded.place import socket_folder as socket_folder
from orderengine.host.embedded.postgres_cluster import Postgres as Postgres
from orderengine.host.embedded.postgres_cluster import give as give
from orderengine.host.embedded.postgres_cluster import postgres as postgres
from orderengine.host.embedded.redis_server import Redis as Redis
from orderengine.host.embedded.redis_server import redis as redis
from orderengine.host.embedded.redis_server import redis_program as redis_program
