#!/bin/sh
# Build images and show what is in each: images/build.sh [TARGET...]
#   TOOL     docker, buildah or podman; the first that there is
#   BASE     an image with Python; that of the Containerfile
#   PREFIX   what the images' names begin with; nodeplug
#   TAG      their tag; the version of nodeplug
#   SBOM     folder for a bill of materials of each image, in CycloneDX's JSON; dist
#   PIP_CONF, CA_CERTIFICATES   files for the pip that fetches packages, if it needs any
set -eu
cd "$(dirname "$0")/.."

version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' core/src/nodeplug/_version.py)
prefix=${PREFIX:-nodeplug}
tag=${TAG:-$version}
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
sbom=${SBOM:-dist}
mkdir -p "$sbom"
[ $# -gt 0 ] || set -- custom intel-fpga nvidia-gpu sriov-net all

tool=${TOOL:-}
for each in docker buildah podman; do
    [ -n "$tool" ] || ! $each info >/dev/null 2>&1 || tool=$each
done
[ -n "$tool" ] || { echo 'nodeplug: none of docker, buildah and podman works here; install one' >&2; exit 1; }

options=
[ -z "${BASE:-}" ] || options="$options --build-arg BASE=$BASE"
[ -z "${PIP_CONF:-}" ] || options="$options --secret id=pip-conf,src=$PIP_CONF"
[ -z "${CA_CERTIFICATES:-}" ] || options="$options --secret id=ca-certificates,src=$CA_CERTIFICATES"

build() {
    case $tool in
        docker) docker buildx build --load "$@" ;;
        buildah) buildah build --layers --ignorefile images/Containerfile.dockerignore "$@" ;;
        *) "$tool" build --layers --ignorefile images/Containerfile.dockerignore "$@" ;;
    esac
}

# What Python prints in an image.
python() {
    image=$1; shift
    case $tool in
        buildah)
            container=$(buildah from --pull-never "$image")
            buildah run "$container" -- /opt/nodeplug/bin/python3 "$@" || { buildah rm "$container" >/dev/null; return 1; }
            buildah rm "$container" >/dev/null ;;
        *) "$tool" run --rm --read-only --tmpfs /tmp --network none --entrypoint /opt/nodeplug/bin/python3 "$image" "$@" ;;
    esac
}

size() {
    case $tool in
        buildah) buildah images --format '{{.Size}}' "$1" ;;
        *) "$tool" image inspect --format '{{.Size}}' "$1" ;;
    esac
}

# The id of an image, if it is there.
identity() {
    case $tool in
        buildah) buildah images --quiet --no-trunc "$1" 2>/dev/null || true ;;
        *) "$tool" image inspect --format '{{.Id}}' "$1" 2>/dev/null || true ;;
    esac
}

# The backends that a target is to have.
expected() {
    case $1 in
        all) for plugin in plugins/*/pyproject.toml; do basename "$(dirname "$plugin")"; done | sort | xargs ;;
        *) echo "$1" | tr - _ ;;
    esac
}

for target in "$@"; do
    image=$prefix/$target:$tag
    former=$(identity "$image")
    # shellcheck disable=SC2086 - words, not one
    build --file images/Containerfile --target "$target" --tag "$image" \
        --build-arg "VERSION=$tag" --build-arg "REVISION=$revision" $options .
    # The one that had the name has none now; where it has another, or runs, it stays.
    [ -z "$former" ] || [ "$former" = "$(identity "$image")" ] || "$tool" rmi "$former" >/dev/null 2>&1 || true
    echo "== $image, $(size "$image")"
    python "$image" -m nodeplug backends
    found=$(python "$image" -m nodeplug backends | awk 'NR > 1 { print $1 }' | sort | xargs)
    [ "$found" = "$(expected "$target")" ] || { echo "nodeplug: $image has the backends $found" >&2; exit 1; }
    python "$image" -m nodeplug simulate
    python "$image" -c 'print(open("/opt/nodeplug/sbom.cdx.json").read())' >"$sbom/$target-$tag.cdx.json"
done
