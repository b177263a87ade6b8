"""Hook: tls. TLS handshakes of OpenSSL and GnuTLS."""
