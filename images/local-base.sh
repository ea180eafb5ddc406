#!/bin/sh
# Make a base image from Debian's packages, where no registry can be reached: images/local-base.sh NAME
# Needs root, debootstrap and buildah.
set -eu
name=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
debootstrap --variant=minbase --include=python3,python3-venv,libudev1 bookworm "$folder"
rm -rf "$folder"/var/cache/apt/* "$folder"/var/lib/apt/lists/* "$folder"/var/log/*
container=$(buildah from scratch)
buildah copy --quiet "$container" "$folder" / >/dev/null
buildah config --cmd python3 "$container"
buildah commit --quiet "$container" "$name"
buildah rm "$container" >/dev/null
