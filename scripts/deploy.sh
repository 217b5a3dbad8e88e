#!/usr/bin/env bash
# Bring an overlay to kubectl's current cluster and wait until the new release serves:
#   deploy.sh rancher-longhorn
# The old pods serve on until the migrate Job of this release is through.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
overlay=k8s/overlays/${1:?name an overlay: dev, k3s-single or rancher-longhorn}
minutes=${MINUTES:-15}

kubectl -n cancerns get secret cancer-prediction-system >/dev/null || {
  echo "First: kubectl apply -f k8s/base/namespace.yaml && scripts/make_secrets.sh cluster" >&2
  exit 1
}
migrate=$(kubectl kustomize "$overlay" | sed -n 's/^  name: \(migrate-.*\)$/\1/p')
kubectl apply -k "$overlay"
kubectl -n cancerns wait --for=condition=complete --timeout="${minutes}m" "job/$migrate" || {
  kubectl -n cancerns logs "job/$migrate" --tail=50
  exit 1
}
for deployment in web worker-inference worker-training beat; do
  kubectl -n cancerns rollout status "deployment/$deployment" --timeout="${minutes}m"
done
