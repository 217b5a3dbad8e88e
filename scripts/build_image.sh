#!/usr/bin/env bash
# Build the image without Docker: root on Debian, with buildah. scripts/try_image.sh then runs it.
#
# Where the registry cannot be reached, a Debian with Debian's own Python 3.11 stands in for
# python:3.11-slim. Then this does NOT prove that the true base image works, nor its size.
#   IMAGE            name of the image           (cancer-prediction-system:0.1.0)
#   BASE_IMAGE       base that may be pulled     (the Dockerfile's own)
#   BUILDAH_OPTIONS  e.g. "--volume /etc/pip.conf:/etc/pip.conf:ro" behind a company's mirror
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

image=${IMAGE:-cancer-prediction-system:0.1.0}
base=${BASE_IMAGE:-$(sed -n 's/^ARG PYTHON_IMAGE=//p' Dockerfile)}
substitute=localhost/debian-with-python:3.11
read -ra options <<<"${BUILDAH_OPTIONS:-}"
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)

[[ $EUID -eq 0 ]] || { echo "Building needs root; with Docker: docker build -t $image ." >&2; exit 1; }
command -v buildah debootstrap crun >/dev/null || {
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    buildah debootstrap crun netavark >/dev/null
}

make_substitute() {
  local container
  debootstrap --variant=minbase --include=ca-certificates bookworm "$root" >&2
  # Mounts and devices are not needed for these; pip and `python` go where the true image has them.
  chroot "$root" apt-get install -y -qq --no-install-recommends python3.11-venv >&2
  chroot "$root" python3.11 -m venv /usr/local
  chroot "$root" apt-get clean
  rm -rf "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale}/*
  # Like Docker's Debian: apt keeps no copies.
  printf 'Dir::Cache::pkgcache "";\nDir::Cache::srcpkgcache "";\n' >"$root/etc/apt/apt.conf.d/docker-clean"
  container=$(buildah from scratch)
  buildah add --quiet "$container" "$root" / >/dev/null
  buildah commit --quiet --rm "$container" "$substitute" >/dev/null
}

if ! timeout 60 buildah pull --quiet "$base" >/dev/null 2>&1; then
  echo "$base cannot be pulled; a Debian with its own Python stands in for it." >&2
  if ! buildah inspect --type image "$substitute" >/dev/null 2>&1; then
    root=$(mktemp -d)
    trap 'rm -rf "$root"' EXIT
    make_substitute
  fi
  base=$substitute
fi

start=$SECONDS
buildah bud --isolation chroot --format docker --tag "$image" \
  --build-arg PYTHON_IMAGE="$base" --build-arg REVISION="$revision" "${options[@]}" .
size=$(buildah images --format '{{.Size}}' "$image")
echo "Built $image on $base in $((SECONDS - start)) s: $size."
