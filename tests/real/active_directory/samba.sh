#!/usr/bin/env bash
# A real Active Directory for the tests: Samba as domain controller of fourthcoffee.test, on loopback alone.
#
#   samba.sh build       provisions it from nothing, as root, and keeps a snapshot below target/real
#   samba.sh up [N]      restores the snapshot, built anew if need be, and starts it on 127.0.88.N (1)
#   samba.sh stop [N]    stops it, as if its power were cut
#   samba.sh start [N]   starts it again with the data it had
#   samba.sh down [N]    stops it for good
#
# Its KDC is on port 88 of the same address. Below target/real/active_directory are krb5.conf, for clients, and the
# keytabs of the CASs: in keytabs/sea-cas-01.keytab the account comes first, so that it is what a client keytab shows,
# and then its services, HTTP/sea-cas-01.fourthcoffee.test for one.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
home=$(cd "$here/../../.." && pwd)/target/real/active_directory
snapshot=$home/snapshot.tar.zst
number=${2:-1}
address=127.0.88.$number
dc=$home/dc-$number
password='Passw0rd!'
# shellcheck source-path=SCRIPTDIR
. "$here/certificates.sh"

# Of all that a domain controller does, LDAP and Kerberos; binds in clear are refused, as a Windows server may be told to.
configure() {
  mkdir -p "$dc/etc" "$dc/run"
  cat >"$dc/etc/smb.conf" <<END
[global]
  netbios name = DC1
  workgroup = FOURTHCOFFEE
  realm = FOURTHCOFFEE.TEST
  server role = active directory domain controller
  server services = ldap, kdc
  interfaces = $address/8
  bind interfaces only = yes
  disable netbios = yes
  private dir = $dc/private
  state directory = $dc/state
  cache directory = $dc/cache
  lock directory = $dc
  pid directory = $dc/run
  ncalrpc dir = $dc/run/ncalrpc
  ldap server require strong auth = allow_sasl_over_tls
  tls enabled = yes
  tls cafile = $certificates/ca.pem
  tls certfile = $certificates/server.pem
  tls keyfile = $certificates/server.key
END
}

modify() {
  ldbmodify -H "$dc/private/sam.ldb" --configfile="$dc/etc/smb.conf" "$@" >/dev/null
}

build() {
  ((EUID == 0)) || { echo 'run as root: Samba needs extended attributes that only root may write'; exit 1; }
  stop
  rm -rf "$home"
  mkdir -p "$home/schema"
  make_certificates
  samba-tool domain provision --quiet --targetdir="$dc" --realm=FOURTHCOFFEE.TEST --domain=FOURTHCOFFEE \
    --host-name=dc1 --host-ip="$address" --server-role=dc --dns-backend=NONE --adminpass="$password" \
    --domain-sid=S-1-5-21-1004336348-1177238915-682003330 >"$home/provision.log" 2>&1 ||
    { cat "$home/provision.log"; exit 1; }
  configure
  /usr/bin/python3 "$here/schema.py" "$home/schema"
  local file
  for file in "$home"/schema/*.ldif; do
    modify --option='dsdb:schema update allowed=yes' "$file"
  done
  /usr/bin/python3 "$here/organization.py" samba >"$home/organization.ldif"
  modify "$home/organization.ldif"
  kerberos
  # Of the bind account, for the example.
  echo "$password" >"$home/password"
  tar -C "$dc" -cf - . | zstd -q -f -o "$snapshot"
}

# The realm as clients find it, and the keys of the CASs.
kerberos() {
  cat >"$home/krb5.conf" <<END
[libdefaults]
  default_realm = FOURTHCOFFEE.TEST
  dns_lookup_kdc = false
  dns_lookup_realm = false
  dns_canonicalize_hostname = false
  rdns = false
[realms]
  FOURTHCOFFEE.TEST = {
    kdc = $address
  }
END
  mkdir -p "$home/keytabs"
  /usr/bin/python3 -B "$here/keytabs.py" "$dc/etc/smb.conf" "$home/keytabs" >>"$home/provision.log" 2>&1 ||
    { tail "$home/provision.log"; exit 1; }
}

start() {
  configure
  samba --foreground --model=single --no-process-group --debug-stdout --configfile="$dc/etc/smb.conf" \
    >"$dc/samba.log" 2>&1 </dev/null &
  echo $! >"$dc/run/tests.pid"
  # A busy machine takes its time; one that died is told at once.
  for _ in {1..1200}; do
    ldapsearch -x -LLL -o nettimeout=1 -H "ldap://$address" -s base -b '' dnsHostName >/dev/null 2>&1 &&
      true 2>/dev/null <"/dev/tcp/$address/88" && return
    kill -0 "$(<"$dc/run/tests.pid")" 2>/dev/null || break
    sleep 0.05
  done
  echo 'the domain controller did not come up:'
  tail "$dc/samba.log"
  exit 1
}

stop() {
  [[ -f $dc/run/tests.pid ]] || return 0
  local pid state
  pid=$(<"$dc/run/tests.pid")
  # The number may be somebody else's by now.
  [[ $(cat "/proc/$pid/comm" 2>/dev/null) == samba* ]] || pid=
  [[ -z $pid ]] || kill -KILL "$pid"
  # Until its ports are free, that is until it is gone, or a zombie that nobody buries.
  for _ in {1..1200}; do
    [[ -n $pid ]] || break
    state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$pid/status" 2>/dev/null) || true
    [[ -n $state && $state != Z ]] || break
    sleep 0.05
  done
  rm -f "$dc"/run/*.pid
}

up() {
  if [[ ! -f $snapshot ]] || { ((number == 1)) && outdated; }; then
    "$here/samba.sh" build
  fi
  stop
  rm -rf "$dc"
  mkdir -p "$dc"
  tar -C "$dc" -I zstd -xf "$snapshot"
  start
}

# Whether a script is younger than the snapshot. Asked for the first server alone: the others may run beside it.
outdated() {
  local file
  for file in "$here"/*.{py,sh}; do
    [[ $file -nt $snapshot ]] && return
  done
  return 1
}

case ${1:-} in
  build | up | start | stop) "$1" ;;
  down) stop ;;
  *) sed -n '2,12p' "${BASH_SOURCE[0]}"; exit 2 ;;
esac
