"""The kubelet's usual paths for one process only, whether or not this machine has them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

# Where a path is missing, the nearest folder above it that is there gets a copy in memory, with
# all that it holds mounted into it: so the machine itself stays as it is, even if we are killed.
_SCRIPT = """
set -e
while [ "$1" != -- ]; do
  at=$1 from=$2 near=$1
  shift 2
  while [ ! -d "$near" ]; do near=${near%/*}; done
  if [ "$near" != "$at" ]; then
    mount --rbind "$near" "$from"
    mount -t tmpfs -o mode=755 none "$near"
    for each in "$from"/* "$from"/.[!.]*; do
      to=$near/${each##*/}
      if [ -L "$each" ]; then cp -P "$each" "$to"
      elif [ -d "$each" ]; then mkdir "$to"; mount --rbind "$each" "$to"
      elif [ -e "$each" ]; then : > "$to"; mount --bind "$each" "$to"
      fi
    done
    umount --lazy "$from"
    mkdir -p "$at"
  fi
  mount --bind "$from" "$at"
done
shift
exec "$@"
"""


def in_namespace(words: Sequence[str], bound: Mapping[str, Path]) -> list[str]:
    """Return a command that sees folders at other paths, in a mount namespace of its own.

    `bound` says by path which folder is there. Needs root.
    """
    pairs = [str(each) for pair in bound.items() for each in pair]
    unshare = ["unshare", "--mount", "--propagation", "private"]
    return [*unshare, "sh", "-c", _SCRIPT, "sh", *pairs, "--", *words]
