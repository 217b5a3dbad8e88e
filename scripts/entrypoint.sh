#!/usr/bin/env bash
# The one image in each of its roles: entrypoint.sh <role> [arguments]
#   web | worker-inference | worker-training | beat   run until told to stop
#   migrate   bring the database up to date, register the networks that ship with the image
#   wait      return once the database has every migration of this image
#   healthy   whether the role that runs in this container is well (probes, HEALTHCHECK)
#   manage …  any command of manage.py
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

role=${1:-web}
shift || true
role_file=${TMPDIR:-/tmp}/role

worker() {
  exec celery -A cancerprediction worker --loglevel "${LOG_LEVEL:-INFO}" \
    --concurrency "${WORKER_CONCURRENCY:-1}" --hostname "$role@%h" --queues "$@"
}

wait_for_migrations() {
  local answer
  until answer=$(python manage.py migrate --check 2>&1); do
    echo "Waiting for the database and its migrations. ${answer##*$'\n'}"
    sleep 3
  done
}

healthy() {
  case $(<"$role_file") in
    web)
      python -c "import os, urllib.request as r
r.urlopen(f'http://127.0.0.1:{os.environ.get(\"PORT\", \"8000\")}/healthz', timeout=5)"
      ;;
    # Asked through the broker without loading the program, which takes a fraction of the memory.
    worker-*)
      CELERY_BROKER_URL=${BROKER_URL:?} celery inspect ping --timeout 10 \
        --destination "$(<"$role_file")@$HOSTNAME" >/dev/null
      ;;
    # Beat writes its schedule every three minutes while it ticks.
    beat) [[ -n $(find "${VAR_DIR:-var}" -maxdepth 1 -name 'celerybeat-schedule*' -mmin -10) ]] ;;
  esac
}

case $role in
  web | worker-inference | worker-training | beat) echo "$role" >"$role_file" ;;
esac

case $role in
  web) exec gunicorn cancerprediction.wsgi "$@" ;;
  worker-inference) worker inference,default "$@" ;;
  worker-training) worker training "$@" ;;
  beat) exec celery -A cancerprediction beat --loglevel "${LOG_LEVEL:-INFO}" --pidfile= "$@" ;;
  migrate)
    python manage.py migrate --no-input
    exec python manage.py load_models
    ;;
  wait) wait_for_migrations ;;
  healthy) healthy ;;
  manage) exec python manage.py "$@" ;;
  *)
    echo "Unknown role: $role. The roles stand at the top of $0." >&2
    exit 64
    ;;
esac
