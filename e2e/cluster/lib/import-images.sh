#!/usr/bin/env bash
# Runs in a node: imports every image archive of the cluster that this node does not have yet.
# Usage: import-images.sh NODE
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/settings.sh"

have=$CLUSTER_STATE/$1/images
mkdir -p "$have"
for digest in "$IMAGES"/*.sha256; do
  name=$(basename "$digest" .sha256)
  ! cmp --silent "$digest" "$have/$name" || continue
  ctr --namespace k8s.io images import "$IMAGES/$name.tar"
  cp "$digest" "$have/$name"
done
