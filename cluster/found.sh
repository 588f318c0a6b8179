#!/bin/sh
# Founds a cluster at one node, unless that was done before, and makes a join token for the others. Leaves two files that only
# their owner may read: the first admin key, which says that it was done before, and the token, a new one each time.
#
#   found.sh ADMIN_KEY_FILE JOIN_TOKEN_FILE SERVER USES [TTL]
#   found.sh admin-token join-token http://10.0.0.1:8081 2 30m
#
# QUORATE_BIN is the program (`quorate`).
set -eu
umask 077
# Whoever runs this may be used to another cluster.
unset QUORATE_SERVER QUORATE_TOKEN QUORATE_TOKEN_FILE

[ $# -ge 4 ] || { sed -n 's/^#   //p' "$0" >&2; exit 2; }
admin=$1 join=$2 server=$3 uses=$4 ttl=${5:-30m}
program=${QUORATE_BIN:-quorate}
limit_s=120

say() { echo "found: $*" >&2; }

# Repeats a command while it ends with one of some exit codes: no node answers (5), not ready yet (7), no leader (11). What it says
# when it is done goes into a file, all at once.
until_done() {
  into=$1 again=$2; shift 2
  tries=$limit_s
  while :; do
    code=0
    "$program" "$@" --server "$server" >"$into.new" 2>"$into.error" || code=$?
    if [ "$code" = 0 ]; then
      mv "$into.new" "$into"
      rm -f "$into.error"
      return 0
    fi
    case " $again " in *" $code "*) ;; *) break ;; esac
    [ "$tries" -gt 0 ] || break
    tries=$((tries - 1))
    sleep 1
  done
  say "quorate $*: exit $code: $(cat "$into.error")"
  [ "$code" != 8 ] || say "its first admin key is in the file admin-token of that node's data directory; put it into $admin"
  rm -f "$into.new" "$into.error"
  return "$code"
}

if [ ! -s "$admin" ]; then
  until_done "$admin.answer" "5" cluster init --output json
  sed -n 's/.*"admin_token": *"\([^"]*\)".*/\1/p' "$admin.answer" >"$admin.new"
  mv "$admin.new" "$admin"
  rm "$admin.answer"
  say "the cluster is founded at $server; its first admin key is in $admin"
fi
export QUORATE_TOKEN_FILE="$admin"
until_done "$join.ready" "5 7" probe readyz
rm "$join.ready"
until_done "$join" "5 11" token create --ttl "$ttl" --uses "$uses"
say "$uses nodes may join within $ttl by the token in $join"
