#!/usr/bin/env bash
# Make the installation's passwords and keys, once.
#   make_secrets.sh cluster   as Secrets in the namespace cancerns of kubectl's current cluster
#   make_secrets.sh metrics   adds METRICS_TOKEN to a cluster's Secret that was made without it
#   make_secrets.sh env       on standard output, as the .env file of docker-compose.yml
# They are never written into the repository. What exists is never replaced: PostgreSQL keeps the
# password that it was first started with, and TRAINING_KEY decides for ever who trains and tests.
set -euo pipefail
namespace=${NAMESPACE:-cancerns}

random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }

cluster() {
  local found secret_key training_key database broker
  found=$(kubectl -n "$namespace" get secrets --ignore-not-found -o name \
    cancer-prediction-system postgres valkey)
  if [[ -n $found ]]; then
    echo "Nothing was changed, because these are there already:" $found >&2
    [[ $(wc -w <<<"$found") -eq 3 ]] || { echo "The others are missing: restore them." >&2; exit 1; }
    return
  fi
  secret_key=$(random) training_key=$(random) database=$(random) broker=$(random)
  # By standard input: no list of processes shows a password.
  kubectl create -f - <<EOF
apiVersion: v1
kind: Secret
metadata: {name: cancer-prediction-system, namespace: $namespace}
stringData:
  SECRET_KEY: "$secret_key"
  TRAINING_KEY: "$training_key"
  DATABASE_URL: "postgres://cancer:$database@postgres:5432/cancer"
  BROKER_URL: "redis://:$broker@valkey:6379/0"
  CACHE_URL: "redis://:$broker@valkey:6379/1"
  METRICS_TOKEN: "$(random)"
  EMAIL_URL: "${EMAIL_URL:-dummymail://}"
---
apiVersion: v1
kind: Secret
metadata: {name: postgres, namespace: $namespace}
stringData:
  POSTGRES_PASSWORD: "$database"
---
apiVersion: v1
kind: Secret
metadata: {name: valkey, namespace: $namespace}
stringData:
  VALKEY_PASSWORD: "$broker"
EOF
}

metrics() {
  local there
  there=$(kubectl -n "$namespace" get secret cancer-prediction-system \
    -o 'jsonpath={.data.METRICS_TOKEN}')
  [[ -z $there ]] || { echo "Nothing was changed: there is a METRICS_TOKEN already." >&2; return; }
  # By standard input here, too; printf is the shell's own.
  printf '{"stringData": {"METRICS_TOKEN": "%s"}}' "$(random)" |
    kubectl -n "$namespace" patch secret cancer-prediction-system --type merge \
      --patch-file /dev/stdin
  echo "Now: kubectl -n $namespace rollout restart deployment/web"
}

env_file() {
  printf '%s=%s\n' SECRET_KEY "$(random)" TRAINING_KEY "$(random)" \
    POSTGRES_PASSWORD "$(random)" VALKEY_PASSWORD "$(random)" METRICS_TOKEN "$(random)"
}

case ${1:-} in
  cluster) cluster ;;
  metrics) metrics ;;
  env) env_file ;;
  *)
    sed -n '2,5s/^# \{0,1\}//p' "$0" >&2
    exit 64
    ;;
esac
