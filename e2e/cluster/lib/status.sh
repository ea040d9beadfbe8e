# The state of the cluster in a line for each machine.
# shellcheck shell=bash

# Exit code 3 when it is down, as `systemctl status` has it.
status() {
  require_root
  local owner
  if ! is_up; then
    owner=$(network_owner)
    echo "cluster $CLUSTER_NAME: down${owner:+ (but parts of it are there, started from $owner; \`down\` clears them)}"
    exit 3
  fi
  echo "cluster $CLUSTER_NAME: up, API server $API_SERVER in network namespace $(netns "$CONTROL_PLANE"), state in $CLUSTER_STATE"
  local machine ready pods
  local -A before
  ready=$(admin kubectl get nodes --no-headers 2> /dev/null || true)
  pods=$(admin kubectl get pods --all-namespaces --no-headers \
    -o custom-columns=NODE:.spec.nodeName 2> /dev/null || true)
  for machine in "$CONTROL_PLANE" $(nodes); do before[$machine]=$(usage_of "$machine"); done
  sleep 1
  printf '%-14s %-9s %6s %8s  %-26s %5s  %s\n' "" "" "cpu" "memory" "pods' cpu of quota" "pods" daemons
  for machine in "$CONTROL_PLANE" $(nodes); do
    if ! is_running "$machine"; then
      printf '%-14s off\n' "$machine"
      continue
    fi
    printf '%-14s %-9s %s %5d MB  %-26s %5s  %s\n' "$machine" \
      "$(awk -v node="$machine" '$1 == node { print $2 }' <<< "$ready")" \
      "$(daemons_cpu "${before[$machine]}" "$(usage_of "$machine")")" \
      "$(memory_of "$machine")" \
      "$(is_node "$machine" && pods_cpu "${before[$machine]}" "$(usage_of "$machine")")" \
      "$(is_node "$machine" && { grep -cx "$machine" <<< "$pods" || true; })" \
      "$(daemon_states "$machine")"
  done
}

# usage_of MACHINE: "MICROSECONDS TICKS", the time and the processor time of its daemons; for a node, what
# cgroup_read_cpu says about its pods follows.
usage_of() {
  echo "${EPOCHREALTIME/./} $(ticks_of "$1") $(! is_node "$1" || cgroup_read_cpu "$1")"
}

# daemons_cpu BEFORE AFTER: two answers of usage_of; per cent of a core
daemons_cpu() {
  awk -v before="$1" -v after="$2" -v hertz="$(getconf CLK_TCK)" 'BEGIN {
    split(before, b); split(after, a)
    printf "%5d%%", (a[2] - b[2]) / hertz * 100 / ((a[1] - b[1]) / 1e6) }'
}

# pods_cpu BEFORE AFTER: the same for the pods of a node, in millicores, and in how many periods they were throttled
pods_cpu() {
  awk -v before="$1" -v after="$2" 'BEGIN {
    split(before, b); split(after, a)
    printf "%dm of %s%s, throttled %d/%d", (a[4] - b[4]) * 1000 / (a[1] - b[1]), a[3], a[3] == "max" ? "" : "m", a[6] - b[6], a[5] - b[5] }'
}

# daemon_states MACHINE: their names, with the frozen or missing ones marked
daemon_states() {
  local daemon pid state init
  init=$(init_of "$1")
  for daemon in $(daemons_of "$1"); do
    pid=$(< "$CLUSTER_STATE/$1/log/$daemon.pid")
    state=$(nsenter --target "$init" --mount --pid -- sed -n 's/^State:\s*\(.\).*/\1/p' "/proc/$pid/status" 2> /dev/null || true)
    case $state in
      T) echo "$daemon(frozen)" ;;
      "" | Z) echo "$daemon(dead)" ;;
      *) echo "$daemon" ;;
    esac
  done | xargs
}

# Clock ticks that the machine's own processes (not its pods') have used.
ticks_of() {
  local pid
  for pid in $(daemon_pids "$1"); do
    # The name in field 2 may hold anything, so count from its closing parenthesis.
    sed 's/.*) //' "/proc/$pid/stat" 2> /dev/null || true
  done | awk '{ sum += $12 + $13 } END { print sum + 0 }'
}

# Megabytes, pages that processes share counted once.
memory_of() {
  local pid
  for pid in $(daemon_pids "$1"); do
    cat "/proc/$pid/smaps_rollup" 2> /dev/null || true
  done | awk '$1 == "Pss:" { sum += $2 } END { print int(sum / 1024) }'
}

daemon_pids() {
  ip netns pids "$(netns "$1")" 2> /dev/null || true
}
