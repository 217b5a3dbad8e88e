#!/usr/bin/env bash
# Install Kubeflow Pipelines, pinned, and what our pipeline needs beside it. Run it again at will.
#   k8s/kubeflow/set-up.sh            install (kubectl must reach the cluster; GitHub is read once)
#   k8s/kubeflow/set-up.sh --print    only print what would be applied
# It goes into our own namespace: its pods mount our volumes and read our Secret.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# The release that requirements/kubeflow.in compiles for; raise both together.
readonly PIPELINE_VERSION=2.17.0
readonly SOURCE=github.com/kubeflow/pipelines/manifests/kustomize
namespace=$(sed -n 's/^namespace: *//p' kustomization.yaml)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/kustomization.yaml" <<EOF
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: $namespace
resources:
  - $SOURCE/env/platform-agnostic?ref=$PIPELINE_VERSION
EOF

if [[ ${1:-} == --print ]]; then
  echo "kubectl apply -k $SOURCE/cluster-scoped-resources?ref=$PIPELINE_VERSION"
  cat "$work/kustomization.yaml"
  kubectl kustomize .
  exit
fi

kubectl get namespace "$namespace" >/dev/null # made by the installation of the program
kubectl apply -k "$SOURCE/cluster-scoped-resources?ref=$PIPELINE_VERSION"
kubectl wait --for condition=established --timeout=60s crd/workflows.argoproj.io
# The policies first: the namespace denies everything, and Kubeflow would not start.
kubectl apply -k .
kubectl apply -k "$work"
kubectl -n "$namespace" rollout status deployment/ml-pipeline --timeout=10m
echo "Kubeflow Pipelines $PIPELINE_VERSION runs. Set TRAINING_BACKEND=kubeflow and"
echo "KUBEFLOW_HOST=http://ml-pipeline:8888 in your overlay, and deploy it again."
