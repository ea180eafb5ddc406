#!/usr/bin/env bash
# Run: grpcio 1.85.1, a server on a Unix socket in a directory whose name has a comma, and a client
# of it, by the same target.
#
# Seen: the server binds, and its socket is there. The client takes the comma for the end of a first
# address and what follows for a second one: it looks for a relative path in its working directory,
# and every call ends with UNAVAILABLE. A comma that is written %2C, as in a URI, is decoded before,
# so that there is no way at all to write it. In a name without a comma, %25, %3F and %23 are what
# they should be, on both sides.
#
# Surprising: one string is an address for the server and two for the client; and escaping, which is
# the remedy for the other characters with a meaning in a target, is none.
#
# Hits: whoever calls services at paths that others choose, such as plugins of a kubelet whose root
# directory was moved: what has bound looks healthy and is never reached.
set -euo pipefail

grpcio=1.85.1

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/python -m pip -q --disable-pip-version-check install "grpcio==$grpcio"

cat >call.py <<'PY'
import os
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import grpc


class Echo(grpc.GenericRpcHandler):
    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(lambda request, _: request)


for name in ("plain", "50%?#", "a,b"):
    path = os.path.abspath(f"{name}/s")
    os.mkdir(name)
    for how, target in (("as it is", f"unix:{path}"), ("escaped", f"unix:{quote(path)}")):
        if how == "as it is" and "%" in name:
            continue
        server = grpc.server(ThreadPoolExecutor(1), [Echo()])
        server.add_insecure_port(target)
        server.start()
        bound = os.path.exists(path)
        with grpc.insecure_channel(target) as channel:
            try:
                answer = channel.unary_unary("/echo/Echo")(b"hello", timeout=5).decode()
            except grpc.RpcError as error:
                seen = "its second half" if "unix:b/s" in error.details() else error.details()
                answer = f"{error.code().name}, having looked for {seen}"
        server.stop(None).wait()
        print(f"{name}, {how}: bound {bound}, {answer}")
PY

venv/bin/python call.py 2>log | tee seen

cat >expected <<'END'
plain, as it is: bound True, hello
plain, escaped: bound True, hello
50%?#, escaped: bound True, hello
a,b, as it is: bound True, UNAVAILABLE, having looked for its second half
a,b, escaped: bound True, UNAVAILABLE, having looked for its second half
END
diff expected seen
echo "grpcio $grpcio: as described"
