#!/usr/bin/env bash
# Run: pyroute2 0.9.7 on this kernel's routes, in a network namespace of its own.
#
# Seen: a route that leads through a next hop object (`ip nexthop add`, `ip route add … nhid`) is
# read as a route to nowhere where net.ipv4.nexthop_compat_mode is 0: the kernel then sends the
# object's number (RTA_NH_ID) in the place of gateway and interface, and pyroute2 knows neither that
# attribute nor the messages that tell what the object is. What it gives is an attribute "UNKNOWN"
# with a type and a length; the number itself, four bytes of the message, is lost.
#
# Surprising: with the mode at 1, which is the kernel's default, the same route is complete, so
# everything that is built on it works until somebody sets it to 0 for the sake of speed, as the
# kernel's documentation (networking/ip-sysctl) offers.
#
# Hits: whoever asks pyroute2 which interface the default route uses, in order to leave it alone.
set -euo pipefail

pyroute2=0.9.7

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/python -m pip -q --disable-pip-version-check install "pyroute2==$pyroute2"

cat >routes.py <<'PY'
from pyroute2 import IPRoute

with IPRoute() as kernel:
    [route] = kernel.get_default_routes(family=2)
print(sorted((name, str(value)) for name, value in route["attrs"] if name != "RTA_TABLE"))
PY

cat >walk.sh <<'SH'
set -e
ip link set lo up
ip link add near type veth peer name far
ip address add 192.0.2.2/24 dev near
ip link set near up
ip link set far up
ip nexthop add id 7 via 192.0.2.1 dev near
ip route add default nhid 7
for mode in 1 0; do
    echo "$mode" >/proc/sys/net/ipv4/nexthop_compat_mode
    venv/bin/python routes.py
done
SH

unshare --user --map-root-user --net sh walk.sh | tee seen

cat >expected <<'END'
[('RTA_GATEWAY', '192.0.2.1'), ('RTA_OIF', '3'), ('UNKNOWN', "{'header': {'length': 8, 'type': 30}}")]
[('UNKNOWN', "{'header': {'length': 8, 'type': 30}}")]
END
diff expected seen
echo "pyroute2 $pyroute2 on Linux $(uname -r): as described"
