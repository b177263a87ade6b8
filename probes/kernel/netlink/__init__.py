"""Netlink: sockets and messages, routes and links, sock_diag, IPsec, WireGuard, changes."""
