"""The real servers that tests talk to: one plugin module each, with its class and its fixtures.

Each runs privately on free ports of the loopback and is stopped by its process id. A server that is not
installed fails the test with the name of its Debian package. Blocking calls, marked (b), go through
`asyncio.to_thread` where the test's own loop has to answer them.

processes   free_port(address="127.0.0.1") -> int                     free for TCP and UDP
            program(name, *, package) -> str                          or MissingServer
            Process(args, *, log, env, user, cwd)                     .pid .wait_port(port, *, address, limit)
                .is_running() .check() .tail() .send(signal) .stop() .kill()
tls         lab_ca: CertificateAuthority (session)                    .pem .certificate .client_context()
                .issue(*names, not_before, not_after, kind="ec"|"rsa", key) -> Issued    .intermediate(name)
            Issued: .certificate .key .key_pem .certificate_pem .chain_pem .fingerprint
                .write(directory, *, key_mode) -> (cert, key)         .server_context(directory)
            lab_ca_pem: Path (session)
            served_certificate(host, port, server_name=None, *, starttls=None|"smtp", timeout) -> Certificate (b)
            fingerprint(certificate) -> str                           SHA-256 of the DER, hex
pebble      pebble: Pebble (session, default options)
            start_pebble(*, dns_server, http01_port, tlsalpn01_port, noncereject, blocklist, validity, eab,
                authz_reuse, strict, retry_after, chain_length, alternate_roots) -> Pebble
            Pebble: .dir_url .ca_pem .http01_port .tlsalpn01_port .dns_server .start() .stop()
                .roots() .certificate_status(serial)                  (b), as are the next:
                .set_txt(name, value) .clear_txt(name) .set_servfail(name) .clear_servfail(name)
            new_eab_key() -> str                                      base64url
bind        bind: Bind (session)                                      .zone .host .port .address .key_name .secret
                .algorithm .txt(name) -> list[str] (b) .start() .stop()
name_server serving(texts, *, zone, host, port) -> NameServer         .address .cnames .is_silent .asked
acme2certifier  start_acme2certifier(*, profiles, eab, window_from) -> Acme2certifier (module)
            .dir_url .ca .ordered .front (its `twist` changes answers)  an ACME server with RFC 9773 and profiles
caddy_acme  CaddyAcme(directory, *, texts)                            .dir_url .ca_pem .names; needs root
step_ca     StepCa(directory, *, dns_server, **claims)                .url .directory_url (ACME) .root .key .jwk .issued()
acme_dns, cloudflare    AcmeDnsServer(), CloudflareServer(*, token, zones, context): simulators with .texts(name)
ssh         sshd: Sshd                                                .host .port .username .client_key
                .host_key .known_hosts .start() .stop() .drop_sessions() .replace_host_key() .log()
nginx       start_nginx(*server_names, address="127.0.0.1") -> Nginx
            Nginx: .port .sites .settings .pid .directory .test_command .reload_command .test() .reload()
                .add_site(server_name, *, address, port, issued, key_mode, owner) -> Site
                .served(port=None, server_name=None) (b) .until_served(site, issued, *, limit) (b)
            Site: .server_name .address .port .certificate .key .issued .served() (b)
smtp        smtp: Smtp                                                .host .port .user .password .ca_pem .inbox
                .refuse(address, answer) .accept(address) .start() .stop() .quiet() (async)
            Mail: .sender .recipients .content .message
starttls    start_plain(Product, *, tls: Issued | None) -> Product     once per module; tls=None runs without TLS
            issued: Issued (module)                               what they serve; SERVER_NAME is its name
            Products, each in its own file, with .start() .stop() and .port unless said otherwise:
            Postfix (SMTP), Dovecot (.imap_port .pop3_port .sieve_port .lmtp_port), Vsftpd (FTP), Slapd (LDAP),
            Prosody (XMPP: .client_port .server_port), Mariadb (MySQL), Nnrpd (NNTP), Inspircd (IRC), Xrdp (RDP);
            tds: SqlServer, a simulator (.faults: what a client did against MS-TDS)
webhook     webhook: Webhook (http); start_webhook(*, tls=False) -> Webhook
            Webhook: .url .requests .script .default .answer(*answers) .received(count, *, within) (async)
                .start() .stop()
            Answer(status=200, headers, body, delay, hang_up); Request: .method .path .headers .body
"""
