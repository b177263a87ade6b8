"""Netlink: sockets and messages, routes and links, sockets by sock_diag, IPsec, changes."""
