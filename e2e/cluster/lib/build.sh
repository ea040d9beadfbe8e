# The Go programs, built once into the cache under a hash of their sources.
# shellcheck shell=bash

declare -A PROGRAMS=(
  [kubernetes]="Kubernetes, etcd and kubectl"
  [helm]="Helm"
  [kubeconform]="kubeconform"
  [prometheus]="Prometheus"
)
# What is left out of a build: Prometheus asks clouds for what to scrape, with a third of its packages.
declare -A BUILD_TAGS=([prometheus]=remove_all_sd)
KUBERNETES_PROGRAMS=(etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl)

# program_folder NAME: where the program is, or will be, for the sources as they are now
program_folder() {
  local hash
  hash=$(cd "$CLUSTER_DIR/$1" &&
    { go version && link_flags "$1" && printf %s "${BUILD_TAGS[$1]:-}" &&
      cat -- *.mod *.sum && find . -name '*.go' -exec cat {} +; } | sha256sum)
  echo "$FORESHIFT_CACHE/bin/$1-${hash:0:12}"
}

is_built() {
  [[ -x $(program_folder "$1")/$1 ]]
}

# build [NAME...]: all programs when none is named
build() {
  local program
  (($#)) || set -- kubernetes helm kubeconform prometheus
  mkdir -p "$FORESHIFT_CACHE/bin"
  for program; do
    is_built "$program" || (
      # Held by the compiler too: two builds of the same graph at once take twice the time of one after the other.
      exec 8> "$FORESHIFT_CACHE/bin/.lock"
      flock --nonblock 8 || { say "waiting for another build to finish" && flock 8; }
      is_built "$program" || build_program "$program"
    )
  done
}

build_program() {
  local program=$1 started=$EPOCHREALTIME folder scratch log compiler link
  folder=$(program_folder "$program")
  scratch=$(mktemp -d "$folder.XXXXXX")
  log=$scratch/log
  local package=.
  [[ -e $CLUSTER_DIR/$program/main.go ]] || package=tool
  (
    cd "$CLUSTER_DIR/$program" || exit
    CGO_ENABLED=0 GOFLAGS=-p=$BUILD_JOBS GOWORK=off exec \
      go build -v -trimpath -buildvcs=false -tags "${BUILD_TAGS[$program]:-}" -ldflags "$(link_flags "$program")" \
      -o "$scratch/$program" "$package"
  ) &> "$log" &
  compiler=$!
  show_build_progress "$compiler" "$log" "${PROGRAMS[$program]}"
  if ! wait "$compiler"; then
    tail -n 20 "$log" >&2
    rm -rf "$scratch"
    die "the build of $program failed; the compiler's last words are above."
  fi
  if [[ $program == kubernetes ]]; then
    for link in "${KUBERNETES_PROGRAMS[@]}"; do ln -s kubernetes "$scratch/$link"; done
  fi
  say "built ${PROGRAMS[$program]} in $(seconds_since "$started") s ($(packages_compiled "$log") packages compiled)"
  rm -rf "$folder"
  mv -T "$scratch" "$folder"
}

# On a terminal one line that counts, elsewhere a line every half minute.
show_build_progress() {
  local compiler=$1 log=$2 what=$3 began=$SECONDS shown=0 elapsed
  while kill -0 "$compiler" 2> /dev/null; do
    elapsed=$((SECONDS - began))
    if [[ -t 1 ]]; then
      printf '\r          building %s: %d s, %d packages compiled' "$what" "$elapsed" "$(packages_compiled "$log")"
    elif ((elapsed >= shown + 30)); then
      shown=$elapsed
      say "building $what: $elapsed s, $(packages_compiled "$log") packages compiled"
    fi
    sleep 0.5
  done
  [[ ! -t 1 ]] || printf '\r\e[K'
}

packages_compiled() {
  grep -cv '^go: ' "$1" || true
}

# The versions that the projects' own release builds stamp in. Without them Kubernetes calls itself v0.0.0 and
# refuses its own kubelets.
link_flags() {
  local flags="-s -w" version package
  case $1 in
    kubernetes)
      version=$(required_version "$1" k8s.io/kubernetes)
      for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
        flags+=" -X $package.gitVersion=$version -X $package.gitTreeState=clean"
        flags+=" -X $package.gitMajor=1 -X $package.gitMinor=$(cut -d. -f2 <<< "$version")"
      done
      ;;
    helm) flags+=" -X helm.sh/helm/v4/internal/version.version=$(required_version "$1" helm.sh/helm/v4)" ;;
    kubeconform) flags+=" -X main.version=$(required_version "$1" github.com/yannh/kubeconform)" ;;
    prometheus) flags+=" -X github.com/prometheus/common/version.Version=$(required_version "$1" github.com/prometheus/prometheus)" ;;
  esac
  echo "$flags"
}

# required_version PROGRAM MODULE: as its go.mod has it
required_version() {
  awk -v module="$2" '$1 == module && $2 != "=>" { print $2; exit }' "$CLUSTER_DIR/$1/go.mod"
}
