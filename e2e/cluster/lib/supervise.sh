# For the PID 1 of a machine: keeps its daemons running.
# shellcheck shell=bash

RESTARTS=50

# supervise NAME COMMAND...: in the background; its output goes to log/NAME.log, its PID in this machine to log/NAME.pid
supervise() {
  local name=$1 log=$CLUSTER_STATE/$MACHINE/log/$1
  shift
  {
    for ((start = 0; start <= RESTARTS; start++)); do
      "$@" >> "$log.log" 2>&1 < /dev/null &
      echo "$!" > "$log.pid"
      wait "$!" || true
      echo "supervise: $name ended, start $((start + 1)) of $((RESTARTS + 1))" >> "$log.log"
      sleep 1
    done
  } &
}

# Reaps what containers and daemons leave behind, as PID 1 has to.
reap_forever() {
  while :; do
    wait || true
    sleep 1
  done
}
