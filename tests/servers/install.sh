#!/bin/sh
# Installs the real servers the tests run against. Needs Debian and root; where it cannot install,
# it says what is missing, and the tests that need it fail.
set -eu

# A real ACME server with renewal information. It is GPL-3: a program of its own, in an environment of its own.
acme2certifier="${XDG_CACHE_HOME:-$HOME/.cache}/everleaf/acme2certifier"
if ! "$acme2certifier/bin/python" -c "import acme2certifier" 2>/dev/null; then
    if ! python3 -m venv "$acme2certifier" || ! "$acme2certifier/bin/pip" install -q --disable-pip-version-check acme2certifier==0.46.3; then
        rm -rf "$acme2certifier"
        echo "The tests need acme2certifier, and pip cannot install it into $acme2certifier." >&2
    fi
fi

# Helm itself, as a library, with the schemas of Kubernetes and of compose: what `deploy/` has is held against them.
deploy_tools="${XDG_CACHE_HOME:-$HOME/.cache}/everleaf/deploy-tools"
if ! "$deploy_tools/bin/python" -c "import compose_spec, helm_python, kubernetes_validate" 2>/dev/null; then
    if ! python3 -m venv "$deploy_tools" || ! "$deploy_tools/bin/pip" install -q --disable-pip-version-check \
        compose-spec==0.2.1 helm-python-sdk==0.2.2 kubernetes-validate==1.37.0 pyyaml; then
        rm -rf "$deploy_tools"
        echo "The tests need Helm, and pip cannot install helm-python-sdk into $deploy_tools." >&2
    fi
fi

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
need systemd-analyze systemd
ls /usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1 || missing="$missing libfaketime"
[ -x /usr/share/tomcat10/bin/catalina.sh ] || missing="$missing tomcat10"
[ -e /usr/share/tomcat10-admin/manager ] || missing="$missing tomcat10-admin"
need keytool default-jre-headless
need curl curl
need socat socat
need caddy caddy
need xrdp xrdp
need kubectl kubernetes-client
need glewlwyd glewlwyd
need softhsm2-util softhsm2
need pki strongswan-pki
[ -e /usr/lib/ipsec/plugins/libstrongswan-curl.so ] || missing="$missing libstrongswan-extra-plugins libstrongswan-standard-plugins"
need scepserver scep
need snmptrapd snmptrapd
[ -e /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf ] || missing="$missing fonts-dejavu-core"
[ -e /usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf ] || missing="$missing fonts-droid-fallback"
[ -e /usr/share/fonts/truetype/nanum/NanumGothic.ttf ] || missing="$missing fonts-nanum"
need snmptranslate snmp
need smilint smitools
need rsyslogd rsyslog
need prometheus prometheus
[ -e /usr/lib/*/rsyslog/lmnsd_ossl.so ] || missing="$missing rsyslog-openssl"
need chromium "chromium fonts-dejavu-core"
[ -x /usr/lib/news/bin/nnrpd ] || missing="$missing inn2"
# Debian has step-ca's packages for Go, and no program: one is built of them, once.
step_ca=/usr/local/lib/everleaf-tests/step-ca/step-ca
[ -x "$step_ca" ] || missing="$missing golang-go golang-github-smallstep-certificates-dev"
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
if [ ! -x "$step_ca" ]; then
    echo "Building step-ca; this takes 3 minutes."
    scratch=$(mktemp -d)
    mkdir -p "$(dirname "$step_ca")"
    if env GO111MODULE=off GOPATH=/usr/share/gocode GOCACHE="$scratch" CGO_ENABLED=0 GOFLAGS= GOTOOLCHAIN=local \
        go build -trimpath -ldflags "-s -w" -o "$step_ca.new" "$(dirname "$0")/step_ca.go" >"$scratch.log" 2>&1; then
        mv "$step_ca.new" "$step_ca"
        rm -rf "$scratch" "$scratch.log"
    else
        tail -5 "$scratch.log" >&2
        rm -rf "$scratch"
        echo "The tests need step-ca, and it cannot be built: see $scratch.log." >&2
        exit 1
    fi
fi
