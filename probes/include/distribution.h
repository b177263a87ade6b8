/* Instead of BTF's types, where the distribution's headers serve. */
#pragma once
#include <linux/fdtable.h>
#include <linux/net.h>
#include <linux/netdevice.h>
#include <linux/sched.h>
#include <linux/skbuff.h>
#include <linux/tcp.h>
#include <net/sock.h>
#include <net/tcp.h>
