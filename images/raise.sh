#!/bin/sh
# Bring the digests of images that are not ours up to date, where one is named.
# Needs skopeo, crane, or docker with buildx.
set -eu
cd "$(dirname "$0")/.."
files=images/Containerfile

digest() {
    if command -v skopeo >/dev/null; then skopeo inspect --no-tags --format '{{.Digest}}' "docker://$1"
    elif command -v crane >/dev/null; then crane digest "$1"
    else docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$1"
    fi
}

for image in $(grep -hoE '[a-z0-9./-]+:[A-Za-z0-9._-]+@sha256:[0-9a-f]{64}' "$files" | sort -u); do
    name=${image%@*}
    now=$name@$(digest "$name")
    expr "$now" : '.*@sha256:[0-9a-f]\{64\}$' >/dev/null || { echo "nodeplug: no digest of $name" >&2; exit 1; }
    [ "$now" = "$image" ] || echo "$image is now $now"
    sed -i "s|$image|$now|" $files
done
