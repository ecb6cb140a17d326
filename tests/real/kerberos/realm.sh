#!/usr/bin/env bash
# A Kerberos realm for the tests, on loopback alone: two KDCs over one database, the keytabs of a first CAS (seattle),
# a second CAS (dallas) and a stranger, and Apache in four roles of a second CAS.
#
#   realm.sh up      makes it from nothing below the temporary directory, and starts it
#   realm.sh down    stops it
#
# Port 18088 and 18089: the KDCs, of which tests may stop the second. 18090: Apache with Kerberos; 18091: offers NTLM
# alone; 18092: Basic alone; 18093: 401 without a word.
set -euo pipefail
# Where Apache may read it too, which runs as another user.
home=${TMPDIR:-/tmp}/cas-proxy-kerberos
realm=FOURTHCOFFEE.TEST
export PATH=$PATH:/usr/sbin
export KRB5_CONFIG=$home/krb5.conf

# client FILE KDC [SETTING]: how a client finds its realm.
client() {
  cat >"$home/$1" <<END
[libdefaults]
  default_realm = $realm
  dns_lookup_kdc = false
  dns_lookup_realm = false
  dns_canonicalize_hostname = false
  rdns = false
  ${3:-}
[realms]
  $realm = {
    kdc = $2
  }
[domain_realm]
  localhost = $realm
END
}

kdc() {
  local number=$1 port=$2
  cat >"$home/kdc-$number.conf" <<END
[kdcdefaults]
  kdc_listen = 127.0.0.1:$port
  kdc_tcp_listen = 127.0.0.1:$port
[realms]
  $realm = {
    database_name = $home/principal
    key_stash_file = $home/stash
    acl_file = /dev/null
    max_life = 10h
  }
[logging]
  kdc = FILE:$home/kdc-$number.log
END
}

start_kdc() {
  KRB5_KDC_PROFILE=$home/kdc-$1.conf krb5kdc -n -P "$home/kdc-$1.pid" >/dev/null 2>&1 </dev/null &
}

# Keys are random; each keytab begins with the account, which is what a client keytab is used for.
accounts() {
  local do="kadmin.local -r $realm -q"
  export KRB5_KDC_PROFILE=$home/kdc-1.conf
  kdb5_util create -s -r "$realm" -P "$RANDOM$RANDOM$RANDOM"
  local name
  for name in SEATTLE STRANGER DALLAS; do
    $do "addprinc -randkey +requires_preauth $name\$"
    $do "ktadd -norandkey -k $home/${name,,}.keytab $name\$"
  done
  for name in localhost elsewhere; do
    $do "addprinc -randkey HTTP/$name"
    $do "ktadd -norandkey -k $home/dallas.keytab HTTP/$name"
  done
  # A keytab that has missed a change of password.
  $do "addprinc -randkey +requires_preauth RENEWED\$"
  $do "ktadd -norandkey -k $home/outdated.keytab RENEWED\$"
  $do "cpw -randkey RENEWED\$"
  unset KRB5_KDC_PROFILE
}

apache() {
  local modules=/usr/lib/apache2/modules module
  mkdir -p "$home/htdocs/owa"
  echo 'mail of Apache' | tee "$home/htdocs/owa/counted.html" >"$home/htdocs/owa/index.html"
  {
    echo "ServerRoot $home"
    echo "PidFile $home/apache.pid"
    echo "DefaultRuntimeDir $home"
    echo "ErrorLog $home/apache.log"
    echo 'LogFormat "%>s %u %U" short'
    echo "CustomLog $home/access.log short"
    echo 'ServerName localhost'
    ((EUID)) || printf 'User www-data\nGroup www-data\n'
    for module in mpm_event authn_core authz_core authz_user headers dir mime alias authn_file auth_basic auth_gssapi; do
      echo "LoadModule ${module}_module $modules/mod_$module.so"
    done
    echo "TypesConfig /etc/mime.types"
    echo "DocumentRoot $home/htdocs"
    echo 'DirectoryIndex index.html'
    for port in 18090 18091 18092 18093; do echo "Listen 127.0.0.1:$port"; done
    cat <<END
<VirtualHost 127.0.0.1:18090>
  <Location /owa>
    AuthType GSSAPI
    AuthName dallas
    GssapiAllowedMech krb5
    GssapiCredStore keytab:$home/apache.keytab
    Require valid-user
    Header set X-Authenticated-User "expr=%{REMOTE_USER}"
  </Location>
</VirtualHost>
<VirtualHost 127.0.0.1:18091>
  Redirect 401 /owa
  Header always set WWW-Authenticate NTLM
</VirtualHost>
<VirtualHost 127.0.0.1:18092>
  <Location /owa>
    AuthType Basic
    AuthName austin
    AuthUserFile /dev/null
    Require valid-user
  </Location>
</VirtualHost>
<VirtualHost 127.0.0.1:18093>
  Redirect 401 /owa
</VirtualHost>
END
  } >"$home/httpd.conf"
  cp "$home/dallas.keytab" "$home/apache.keytab"
  ((EUID)) || chown www-data "$home/apache.keytab"
  KRB5RCACHENAME=none: apache2 -f "$home/httpd.conf" -k start
}

up() {
  down
  rm -rf "$home"
  mkdir -p "$home"
  client krb5.conf 127.0.0.1:18088
  client second-kdc.conf 127.0.0.1:18089
  client dead-kdc.conf 127.0.0.1:1
  client strict-clock.conf 127.0.0.1:18088 'kdc_timesync = 0'
  kdc 1 18088
  kdc 2 18089
  accounts >"$home/accounts.log" 2>&1 || { cat "$home/accounts.log"; exit 1; }
  start_kdc 1
  start_kdc 2
  apache
  for _ in {1..100}; do
    KRB5_CONFIG=$home/krb5.conf kinit -k -t "$home/seattle.keytab" -c "MEMORY:" 'SEATTLE$' 2>/dev/null &&
      KRB5_CONFIG=$home/second-kdc.conf kinit -k -t "$home/seattle.keytab" -c "MEMORY:" 'SEATTLE$' 2>/dev/null &&
      curl -so /dev/null http://localhost:18090/ && return
    sleep 0.05
  done
  echo 'the realm did not come up:'
  tail "$home"/*.log
  exit 1
}

down() {
  local pid
  for pid in "$home"/*.pid; do
    [[ -f $pid ]] || continue
    kill -CONT "$(<"$pid")" 2>/dev/null || true
    kill "$(<"$pid")" 2>/dev/null || true
    rm -f "$pid"
  done
}

case ${1:-} in
  up | down) "$1" ;;
  *) sed -n '2,9p' "${BASH_SOURCE[0]}"; exit 2 ;;
esac
