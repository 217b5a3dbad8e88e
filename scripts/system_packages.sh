#!/usr/bin/env bash
# Make sure that the programs outside Python are there: system_packages.sh run|test|k8s
# Root on Debian or Ubuntu installs what is missing; anybody else is told in one line.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin

declare -A package=(
  [python3.11]=python3.11 [ensurepip]=python3.11-venv [libgl]=libgl1 [libglib]=libglib2.0-0
  [postgres]=postgresql [chromium]=chromium [kubectl]=kubernetes-client
  [dciodvfy]=dicom3tools [pdftoppm]=poppler-utils
)

is_there() {
  case $1 in
    ensurepip) python3.11 -c 'import ensurepip' 2>/dev/null ;;
    python3.11) command -v python3.11 >/dev/null || python3 -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' ;;
    libgl) [[ $(ldconfig -p) == *libGL.so.1* ]] ;;
    libglib) [[ $(ldconfig -p) == *libgthread-2.0.so.0* ]] ;;
    postgres) command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

case ${1:?run, test or k8s} in
  run) needed=(python3.11 ensurepip libgl libglib) ;;
  test) needed=(libgl libglib postgres chromium kubectl dciodvfy pdftoppm) ;;
  k8s) needed=(kubectl) ;;
esac

# Debian 12's own kubectl cannot build our overlays.
warn_of_old_kubectl() {
  local minor
  minor=$(kubectl version --client -o json 2>/dev/null | sed -n 's/.*"minor": "\([0-9]*\).*/\1/p' | head -1)
  ((${minor:-0} >= 27)) && return
  echo "kubectl 1.27 or newer is needed for k8s/: https://kubernetes.io/docs/tasks/tools/" >&2
  [[ $1 != k8s ]]
}

missing=()
for part in "${needed[@]}"; do
  is_there "$part" || missing+=("${package[$part]}")
done
if ((${#missing[@]})); then
  if [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null; then
    echo "Installing: ${missing[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  else
    echo "Missing programs. On Debian or Ubuntu: sudo apt-get install ${missing[*]}" >&2
    exit 1
  fi
fi
[[ $1 == run ]] || warn_of_old_kubectl "$1"
