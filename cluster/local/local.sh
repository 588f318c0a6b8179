#!/bin/sh
# A cluster of real nodes on this machine, made by the same steps as one on three machines: start, found, join.
#
#   cluster/local/local.sh start [3|5]   starts what does not run; founds and joins at the first start
#   cluster/local/local.sh status
#   cluster/local/local.sh stop          drains and stops all nodes
#
# QUORATE_BIN is the program (`quorate`), QUORATE_LOCAL the folder of data, logs and the admin key (`quorate-local`).
set -eu
# Whoever runs this may be used to another cluster.
unset QUORATE_SERVER QUORATE_TOKEN QUORATE_TOKEN_FILE

configs=$(cd "$(dirname "$0")" && pwd)
program=$(command -v "${QUORATE_BIN:-quorate}") && program=$(realpath "$program")
folder=${QUORATE_LOCAL:-quorate-local}
limit_s=60

say() { echo "local: $*" >&2; }
die() { say "$*"; exit 1; }

# The number of a process may be another's by now.
runs() { [ -s "node-$1.pid" ] && grep -qs "$configs/node-$1.toml" "/proc/$(cat "node-$1.pid")/cmdline"; }
admin_of() { sed -n 's/^admin_listen = "\(.*\)"/http:\/\/\1/p' "$configs/node-$1.toml"; }

# The same line for every node, at every start: those without a cluster wait until the token is there.
start_node() {
  runs "$1" && return
  "$program" serve --config "$configs/node-$1.toml" --join-token-file join-token >>"node-$1.log" 2>&1 </dev/null &
  echo $! >"node-$1.pid"
  say "node $1 is process $!, its log $folder/node-$1.log"
}

# The autopilot gives votes once nodes have been caught up for a while: to two at a time, for their number stays odd.
all_vote() {
  status=$("$program" cluster status 2>&1) && echo "$status" | grep -q "^HEALTHY .* $1/$1 voters" && ! echo "$status" | grep -q " learner "
}

start() {
  nodes=${1:-3}
  case $nodes in 3 | 5) ;; *) die "3 or 5 nodes, not $nodes" ;; esac
  rm -f join-token
  for node in $(seq "$nodes"); do start_node "$node"; done
  QUORATE_BIN=$program "$configs/../found.sh" admin-token join-token "$QUORATE_SERVER" "$nodes"
  export QUORATE_TOKEN_FILE=admin-token
  tries=$((limit_s * 10))
  until all_vote "$nodes"; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || die "not all of $nodes nodes vote after $limit_s s: $status"
    sleep 0.1
  done
  say "$nodes nodes serve: export QUORATE_SERVER=$QUORATE_SERVER QUORATE_TOKEN_FILE=$folder/admin-token"
}

stop() {
  for node in 1 2 3 4 5; do
    if runs $node; then kill "$(cat node-$node.pid)"; fi
  done
  for node in 1 2 3 4 5; do
    while runs $node; do sleep 0.1; done
    rm -f node-$node.pid
  done
}

mkdir -p "$folder"
cd "$folder"
folder=$(pwd)
QUORATE_SERVER=$(admin_of 1)
export QUORATE_SERVER
case ${1:-} in
  start) start "${2:-3}" ;;
  status) QUORATE_TOKEN_FILE=admin-token "$program" cluster status ;;
  stop) stop ;;
  *) sed -n 's/^#   //p' "$0" >&2; exit 2 ;;
esac
