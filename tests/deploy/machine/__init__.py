"""A server to set up: systemd with a file system, processes and a network of its own, thrown away afterwards."""
