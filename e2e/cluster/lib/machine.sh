# A machine of the cluster (the control plane or a node): one set of namespaces with a script as its PID 1.
# shellcheck shell=bash
#
# Killing that PID 1 ends every daemon, container, mount and pod network of the machine at once, so a power cut
# and a tear-down are the same thing. Machines are found by their network namespace, never by a file with a PID:
# nothing can go stale, and it makes no difference how their launcher ended.

# start_machine NAME SCRIPT [ARGUMENT...]
start_machine() {
  local name=$1 programs
  shift
  mkdir -p "$CLUSTER_STATE/$name/log"
  # A clean environment: proxy settings or credentials of the user's shell are no business of a cluster.
  programs=$(dirname "$(program kubelet)")
  env -i PATH="$programs:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
    HOME=/root LANG=C.UTF-8 CLUSTER_STATE="$CLUSTER_STATE" \
    setsid --fork nsenter --net="/run/netns/$(netns "$name")" \
    unshare --mount --uts --ipc --pid --fork --mount-proc --kill-child=KILL \
    bash "$@" < /dev/null &>> "$CLUSTER_STATE/$name/log/init.log" {LOCK}>&-
}

# kill_machine NETNS...: and everything else that runs in its network namespace
kill_machine() {
  local namespace pids deadline=$((SECONDS + 20))
  for namespace; do
    while pids=$(ip netns pids "$namespace") && [[ -n $pids ]]; do
      ((SECONDS < deadline)) || die "processes of $namespace do not end:" "$(ps -o pid,stat,args -p "${pids//$'\n'/,}")"
      # shellcheck disable=SC2086
      kill -KILL $pids 2> /dev/null || true
      sleep 0.05
    done
  done
}

is_running() {
  [[ -n $(init_of "$1") ]]
}

# init_of NAME: the PID of the machine's PID 1, seen from here. Pods on the host's network are one PID namespace deeper.
init_of() {
  local pids
  pids=$(ip netns pids "$(netns "$1")" 2> /dev/null) || return 0
  for pid in $pids; do
    awk -v pid="$pid" '$1 == "NSpid:" && NF == 3 && $3 == 1 { print pid }' "/proc/$pid/status" 2> /dev/null || true
  done
}

# in_machine NAME COMMAND...: replaces this shell by COMMAND in all of the machine's namespaces
in_machine() {
  local init
  init=$(init_of "$1")
  [[ -n $init ]] || die "$1 is off; \`$CLUSTER_DIR/cluster node on $1\` switches it on."
  shift
  exec nsenter --target "$init" --mount --uts --ipc --net --pid -- "$@"
}

# signal_daemon SIGNAL NODE DAEMON
signal_daemon() {
  local pid_file=$CLUSTER_STATE/$2/log/$3.pid
  [[ -r $pid_file ]] || die "$2 has no daemon \"$3\"; it has: $(daemons_of "$2" | xargs)"
  (in_machine "$2" kill "-$1" "$(< "$pid_file")")
}

# daemons_of NAME: the daemons that the machine supervises
daemons_of() {
  local pid_file
  for pid_file in "$CLUSTER_STATE/$1"/log/*.pid; do
    [[ -e $pid_file ]] && basename "$pid_file" .pid
  done
  return 0
}
