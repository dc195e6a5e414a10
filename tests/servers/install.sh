#!/bin/sh
# Installs the real servers the tests run against. Needs Debian and root; where it cannot install,
# it says what is missing, and the tests that need it fail.
set -eu

missing=""
need() { # PROGRAM PACKAGE
    PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need rabbitmq-server rabbitmq-server
[ -x /usr/lib/postgresql/15/bin/postgres ] || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || missing="$missing postgresql"
need pebble pebble
need sshd openssh-server
need nginx nginx-light
need named bind9
need setpriv util-linux
need openssl openssl
need nmap nmap
need sslscan sslscan
need testssl testssl.sh
[ -x /usr/bin/time ] || missing="$missing time"
need postconf postfix
need dovecot dovecot-core
for protocol in imap pop3 lmtp managesieve; do
    [ -e /usr/lib/dovecot/$protocol ] || missing="$missing dovecot-${protocol}d"
done
need vsftpd vsftpd
need slapd slapd
need prosody prosody
need mariadbd mariadb-server
need inspircd inspircd
need apache2 apache2-bin
need haproxy haproxy
need stunnel4 stunnel4
need sudo sudo
[ -x /usr/share/tomcat10/bin/catalina.sh ] || missing="$missing tomcat10"
need keytool default-jre-headless
need caddy caddy
need xrdp xrdp
need kubectl kubernetes-client
need glewlwyd glewlwyd
[ -x /usr/lib/news/bin/nnrpd ] || missing="$missing inn2"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "The tests need these Debian packages, and only root can install them:$missing" >&2
    exit 0
fi
# The packages' services must not start: the tests start private ones, on free ports.
if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
apt="apt-get -qq -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3"
$apt update
# Glewlwyd's set-up asks for a database of its own otherwise; the tests bring one.
echo "glewlwyd glewlwyd/config_type select No configuration" | debconf-set-selections
# shellcheck disable=SC2086 # the options and the packages are lists
if ! $apt install -y --no-install-recommends $missing >/dev/null; then
    # INN's set-up ends in an error where the machine's name has no domain, unless it is told one.
    [ -f /etc/news/inn.conf ] && ! grep -q '^domain:' /etc/news/inn.conf || exit 1
    echo "domain: everleaf.invalid" >>/etc/news/inn.conf
    dpkg --configure -a >/dev/null
fi
