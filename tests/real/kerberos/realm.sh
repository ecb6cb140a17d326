#!/usr/bin/env bash
# A Kerberos realm for the tests, on loopback alone: three KDCs over one database, the keytabs of a first CAS (seattle),
# a second CAS (dallas) and a stranger, and Apache in four roles of a second CAS.
#
#   realm.sh up [samba]      makes it from nothing below the temporary directory, and starts it
#   realm.sh down [samba]    stops it, and whatever an earlier one left running
#
# With `samba`, the KDC is the domain controller that tests/real/active_directory/samba.sh has started, and the CASs are
# those of its organization; only Apache is started here.
#
# Its ports are the first seven in a row that nobody else has; the file `ports` tells which. Tests may stop the second and the third KDC.
set -euo pipefail
home=${TMPDIR:-/tmp}/cas-proxy-kerberos${2:+-$2}
made_by=${2:-mit}
directory=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)/target/real/active_directory
realm=FOURTHCOFFEE.TEST
# Apache: with Kerberos, with NTLM alone, with Basic alone, and with 401 without a word.
roles=(kdc second-kdc third-kdc negotiate ntlm basic mute)
declare -A port
kdcs=()
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
[dbmodules]
  # Nothing is written when a ticket is asked for: a slow disk must not make a slow KDC.
  $realm = {
    disable_last_success = true
    disable_lockout = true
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
  # Half of the life of its tickets is over after twenty seconds.
  $do "addprinc -randkey +requires_preauth -maxlife 40seconds HURRIED\$"
  $do "ktadd -norandkey -k $home/hurried.keytab HURRIED\$"
  # A keytab that has missed a change of password.
  $do "addprinc -randkey +requires_preauth RENEWED\$"
  $do "ktadd -norandkey -k $home/outdated.keytab RENEWED\$"
  $do "cpw -randkey RENEWED\$"
  unset KRB5_KDC_PROFILE
}

apache() {
  local modules=/usr/lib/apache2/modules module role
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
    # The tests are its only clients, and may be many.
    printf 'ServerLimit 4\nThreadsPerChild 64\nMaxRequestWorkers 256\nKeepAliveTimeout 60\n'
    for module in mpm_event authn_core authz_core authz_user headers dir mime alias authn_file auth_basic auth_gssapi; do
      echo "LoadModule ${module}_module $modules/mod_$module.so"
    done
    echo "TypesConfig /etc/mime.types"
    echo "DocumentRoot $home/htdocs"
    echo 'DirectoryIndex index.html'
    for role in "${roles[@]:3}"; do echo "Listen 127.0.0.1:${port[$role]}"; done
    cat <<END
<VirtualHost 127.0.0.1:${port[negotiate]}>
  <Location /owa>
    AuthType GSSAPI
    AuthName dallas
    GssapiAllowedMech krb5
    GssapiCredStore keytab:$home/apache.keytab
    Require valid-user
    Header set X-Authenticated-User "expr=%{REMOTE_USER}"
  </Location>
</VirtualHost>
<VirtualHost 127.0.0.1:${port[ntlm]}>
  Redirect 401 /owa
  Header always set WWW-Authenticate NTLM
</VirtualHost>
<VirtualHost 127.0.0.1:${port[basic]}>
  <Location /owa>
    AuthType Basic
    AuthName austin
    AuthUserFile /dev/null
    Require valid-user
  </Location>
</VirtualHost>
<VirtualHost 127.0.0.1:${port[mute]}>
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
  readable_by_apache
  local base
  for ((base = 18088; base < 19088; base += 10)); do
    free "$base" || continue
    # Somebody else may be faster: then the next.
    start "$base" && return
    down
  done
  echo 'the realm did not come up:'
  tail "$home"/*.log
  exit 1
}

# Apache runs as another user.
readable_by_apache() {
  ((EUID)) && return
  setpriv --reuid www-data --regid www-data --clear-groups test -x "$home" && return
  echo "www-data cannot enter $home: set TMPDIR to a directory that it can enter"
  exit 1
}

# free BASE: whether nobody listens on any of the ports from there.
free() {
  local at
  for at in "${!roles[@]}"; do
    (exec 3<>"/dev/tcp/127.0.0.1/$(($1 + at))") 2>/dev/null && return 1
  done
  return 0
}

# start BASE: on the ports from there; fails if a server ends, or is not there after a minute.
start() {
  local at
  for at in "${!roles[@]}"; do
    port[${roles[at]}]=$(($1 + at))
    echo "${roles[at]} $(($1 + at))"
  done >"$home/ports"
  case $made_by in
    mit) mit ;;
    samba) samba ;;
  esac
  apache || return
  local until=$((SECONDS + 60))
  while ((SECONDS < until)); do
    answers && return
    (($(servers | wc -l) >= $(wc -w <<<"${kdcs[*]}") + 1)) || return
    sleep 0.05
  done
  return 1
}

mit() {
  kdcs=(krb5 second-kdc third-kdc)
  client krb5.conf "127.0.0.1:${port[kdc]}"
  client second-kdc.conf "127.0.0.1:${port[second-kdc]}"
  client third-kdc.conf "127.0.0.1:${port[third-kdc]}"
  client dead-kdc.conf 127.0.0.1:1
  client strict-clock.conf "127.0.0.1:${port[kdc]}" 'kdc_timesync = 0'
  kdc 1 "${port[kdc]}"
  kdc 2 "${port[second-kdc]}"
  kdc 3 "${port[third-kdc]}"
  [[ -e $home/principal ]] || accounts >"$home/accounts.log" 2>&1 || { cat "$home/accounts.log"; exit 1; }
  echo 'seattle SEATTLE$' >"$home/names"
  echo 'dallas DALLAS$' >>"$home/names"
  start_kdc 1
  start_kdc 2
  start_kdc 3
}

samba() {
  kdcs=()
  client krb5.conf 127.0.88.1
  echo 'seattle SEA-CAS-01$' >"$home/names"
  echo 'dallas DAL-CAS-01$' >>"$home/names"
  cp "$directory/keytabs/sea-cas-01.keytab" "$home/seattle.keytab"
  cp "$directory/keytabs/dal-cas-01.keytab" "$home/dallas.keytab"
}

answers() {
  local config account
  account=$(sed -n 's/^seattle //p' "$home/names")
  for config in krb5 "${kdcs[@]}"; do
    KRB5_CONFIG=$home/$config.conf kinit -k -t "$home/seattle.keytab" -c MEMORY: "$account" 2>/dev/null || return
  done
  [[ $(curl -s -o /dev/null -w '%{http_code}' "http://localhost:${port[negotiate]}/owa/") == 401 ]]
}

# The processes that were started with a file of ours, whether or not a file still tells their numbers.
servers() {
  local process words
  for process in /proc/[0-9]*; do
    words=$(tr '\0' ' ' 2>/dev/null <"$process/cmdline") || continue
    [[ $words == krb5kdc\ *" $home/"* || $words == *apache2\ *" $home/"* ]] && echo "${process#/proc/}"
  done
  return 0
}

# Returns when they have ended: their ports are free then.
down() {
  local pids signal
  for signal in TERM KILL; do
    for _ in {1..100}; do
      mapfile -t pids < <(servers)
      ((${#pids[@]})) || return 0
      kill -s "$signal" "${pids[@]}" 2>/dev/null || true
      # One that a test has stopped hears of it when it goes on.
      kill -s CONT "${pids[@]}" 2>/dev/null || true
      sleep 0.1
    done
  done
}

case ${1:-} in
  up | down) "$1" ;;
  *) sed -n '2,11p' "${BASH_SOURCE[0]}"; exit 2 ;;
esac
