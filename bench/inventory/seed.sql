-- Fills an inventory whose schema is new. Each part begins with `-- part: NAME`; `seed.py` sets `:certificates`, `:places`,
-- `:der` and `:rules`. Everything is drawn from numbers, so that two inventories of one size are the same but for their dates.

-- part: draw
CREATE FUNCTION pg_temp.draw(n bigint, of integer) RETURNS float8 LANGUAGE sql IMMUTABLE AS
    'SELECT (hashint8extended(n, of) & 9007199254740991)::float8 / 9007199254740992';
CREATE FUNCTION pg_temp.print(kind text, n bigint) RETURNS text LANGUAGE sql IMMUTABLE AS
    $$SELECT encode(sha256(convert_to(kind || n, 'UTF8')), 'hex')$$;
-- An id as `shared.ids` makes them: newer ones sort after older ones.
CREATE FUNCTION pg_temp.id(n bigint, of integer) RETURNS text LANGUAGE sql IMMUTABLE AS
    $$SELECT '01940000-' || substr(lpad(to_hex(n), 8, '0'), 1, 4) || '-7' || lpad(to_hex(of), 3, '0') || '-8000-'
        || lpad(to_hex(n), 12, '0')$$;

-- part: teams
INSERT INTO teams (id, name, contacts, version, created_at, created_by)
SELECT 'team-' || n, 'Team ' || n, '[]', 1, now(), 'seed' FROM generate_series(0, 99) AS n;
INSERT INTO groups (id, name, description, kind, version, created_at, created_by, evaluated_at)
SELECT id, id, '', 'hand', 1, now(), 'seed', now()
FROM (
    SELECT 'group-' || n AS id FROM generate_series(0, 49) AS n
    UNION ALL VALUES ('thousand'), ('hundred-thousand')
) AS named;
INSERT INTO fields (name, kind, description, is_required, choices, version, created_at, created_by)
VALUES ('cost_centre', 'text', '', false, '[]', 1, now(), 'seed'),
    ('criticality', 'choice', '', false, '["low", "medium", "high"]', 1, now(), 'seed');
INSERT INTO unowned (id, since, told_at, told_count) VALUES (1, now(), now(), 1);

-- part: drawn
CREATE TEMP TABLE drawn AS
SELECT
    n,
    pg_temp.print('c', n) AS fingerprint,
    -- Every seventh is the predecessor of the one before it.
    n % 7 = 0 AS is_old,
    CASE WHEN n % 7 = 0 THEN n - 1 ELSE n END AS lineage,
    (200 * power(pg_temp.draw(n, 1), 3))::integer % 200 AS issuer,
    pg_temp.draw(n, 2) AS key_draw,
    pg_temp.draw(n, 12) < 0.001 AS is_unreadable,
    n % 7 <> 0 AND pg_temp.draw(n, 4) < 0.97 AS is_current,
    pg_temp.draw(n, 5) < 0.7 AS is_owned,
    (100 * power(pg_temp.draw(n, 6), 2))::integer % 100 AS team,
    pg_temp.draw(n, 7) < 0.1 AS is_wildcard,
    pg_temp.draw(CASE WHEN n % 7 = 0 THEN n - 1 ELSE n END, 8) < 0.55 AS is_managed,
    CASE
        WHEN pg_temp.draw(n, 9) < 0.60 THEN 90 WHEN pg_temp.draw(n, 9) < 0.75 THEN 47
        WHEN pg_temp.draw(n, 9) < 0.80 THEN 6 WHEN pg_temp.draw(n, 9) < 0.95 THEN 398 ELSE 1825
    END AS days,
    -- How much of its life is over; of those in use one in twenty has ended.
    CASE WHEN n % 7 = 0 THEN 0.9 + 2 * pg_temp.draw(n, 3) ELSE 1.05 * pg_temp.draw(n, 3) END AS lived
FROM generate_series(1, :certificates) AS n;
ALTER TABLE drawn
    ADD not_before timestamptz, ADD not_after timestamptz, ADD key_type text, ADD key_bits integer, ADD chain text;
UPDATE drawn SET
    not_before = date_trunc('second', now() - lived * days * interval '1 day'),
    not_after = date_trunc('second', now() + (1 - lived) * days * interval '1 day') - interval '1 second',
    key_type = CASE
        WHEN key_draw < 0.5 THEN 'ecdsa-p256' WHEN key_draw < 0.6 THEN 'ecdsa-p384' WHEN key_draw < 0.995 THEN 'rsa'
        WHEN key_draw < 0.999 THEN 'ed25519' ELSE 'ml-dsa-65'
    END,
    key_bits = CASE
        WHEN key_draw < 0.5 THEN 256 WHEN key_draw < 0.6 THEN 384 WHEN key_draw < 0.93 THEN 2048
        WHEN key_draw < 0.96 THEN 3072 WHEN key_draw < 0.995 THEN 4096 WHEN key_draw < 0.999 THEN 256 ELSE 1952
    END,
    chain = pg_temp.print('a', issuer);
CREATE UNIQUE INDEX ON drawn (n);
ANALYZE drawn;

-- part: lineages
INSERT INTO lineages (id, title, created_at, is_managed, managed_told_at)
SELECT pg_temp.id(lineage, 1), 'host' || lineage || '.team' || team || '.corp.example', not_before, is_managed,
    CASE WHEN is_managed THEN not_before END
FROM drawn WHERE NOT is_old;

-- part: certificates
INSERT INTO certificates (
    fingerprint, id, lineage_id, serial, subject, issuer, names, not_before, not_after, key_type, key_bits,
    key_fingerprint, signature_algorithm, is_ca, is_self_issued, finding, chain, is_from_renewal, is_current, urgency,
    next_crossing_at, first_known_at, owner_id, owner_set_by
)
SELECT
    fingerprint, pg_temp.id(n, 2), pg_temp.id(lineage, 1), substr(fingerprint, 1, 32),
    CASE WHEN NOT is_unreadable THEN 'CN=' || name END,
    CASE WHEN NOT is_unreadable THEN 'CN=Issuing CA ' || issuer || ',O=Authority ' || issuer / 5 || ',C=US' END,
    jsonb_build_array(name), not_before, not_after, key_type, key_bits,
    CASE WHEN pg_temp.draw(n, 10) < 0.02 THEN pg_temp.print('k', n / 50) ELSE pg_temp.print('o', n) END,
    CASE WHEN issuer % 3 = 0 THEN 'ecdsa-with-SHA256' WHEN issuer % 3 = 1 THEN 'sha256WithRSAEncryption'
        ELSE 'sha384WithRSAEncryption' END,
    pg_temp.draw(n, 11) < 0.002, pg_temp.draw(n, 13) < 0.03,
    CASE WHEN is_unreadable THEN 'The certificate cannot be read.' END,
    jsonb_build_array(chain), is_managed, is_current,
    CASE
        WHEN NOT is_current THEN NULL WHEN lived >= 1 THEN 'expired'
        WHEN lived >= 1 - CASE WHEN days < 10 THEN 0.125 ELSE 0.07 END THEN 'critical'
        WHEN lived >= 1 - CASE WHEN days < 10 THEN 0.25 ELSE 0.15 END THEN 'error'
        WHEN lived >= 1 - CASE WHEN days < 10 THEN 0.40 ELSE 0.25 END THEN 'warning'
        WHEN lived >= 1 - CASE WHEN days < 10 THEN 0.5 ELSE 1 / 3.0 END THEN 'renew'
    END,
    -- The last threshold only: an inventory that is measured is not to work off the others meanwhile.
    CASE WHEN is_current AND lived < 1 THEN not_after END,
    not_before, CASE WHEN is_owned THEN 'team-' || team END, CASE WHEN is_owned THEN 'rule:seed' END
FROM drawn,
    LATERAL (SELECT CASE WHEN is_wildcard THEN '*.w' ELSE 'host' END || lineage || '.team' || team || '.corp.example' AS name) AS named;

-- part: names
INSERT INTO certificate_names (fingerprint, name, backwards)
SELECT fingerprint, name, reverse(name) FROM (
    SELECT fingerprint, CASE WHEN is_wildcard THEN '*.w' ELSE 'host' END || lineage || '.team' || team || '.corp.example' AS name
    FROM drawn
) AS named;

-- part: ders
INSERT INTO certificate_ders (fingerprint, der) SELECT fingerprint, decode(':der', 'hex') FROM drawn;
INSERT INTO certificate_ders (fingerprint, der) SELECT pg_temp.print('a', n), decode(':der', 'hex') FROM generate_series(0, 199) AS n;

-- part: groups
INSERT INTO group_members (group_id, fingerprint)
SELECT 'group-' || (50 * power(pg_temp.draw(lineage, 20), 2))::integer % 50, fingerprint FROM drawn WHERE pg_temp.draw(lineage, 21) < 0.8
UNION ALL SELECT 'thousand', fingerprint FROM drawn WHERE n % (:certificates / 1000) = 1
UNION ALL SELECT 'hundred-thousand', fingerprint FROM drawn WHERE n % 10 = 1;
INSERT INTO lineage_groups (lineage_id, group_id)
SELECT DISTINCT pg_temp.id(lineage, 1), group_id FROM drawn JOIN group_members USING (fingerprint);

-- part: tags
INSERT INTO certificate_tags (fingerprint, tag)
SELECT fingerprint, 'tag-' || (200 * power(pg_temp.draw(n, 22), 2))::integer FROM drawn WHERE pg_temp.draw(n, 23) < 0.4;
INSERT INTO certificate_fields (fingerprint, name, text, number)
SELECT fingerprint, 'cost_centre', 'CC-' || n % 300, NULL::float8 FROM drawn WHERE pg_temp.draw(n, 24) < 0.2
UNION ALL SELECT fingerprint, 'criticality', (ARRAY['low', 'medium', 'high'])[1 + n % 3], NULL::float8 FROM drawn WHERE pg_temp.draw(n, 25) < 0.1;

-- part: sites
CREATE TEMP TABLE sites AS
SELECT
    m, is_store, port, address, path, starttls, drawn.fingerprint, drawn.lineage, drawn.chain,
    CASE WHEN NOT is_store THEN 'host' || drawn.lineage || '.team' || drawn.team || '.corp.example' END AS server_name,
    pg_temp.draw(m, 35) < 0.05 AS is_lost, NOT is_store OR pg_temp.draw(m, 36) < 0.5 AS is_proof,
    now() - pg_temp.draw(m, 37) * interval '60 days' AS first_seen
FROM (
    SELECT m, is_store, CASE WHEN is_store THEN NULL ELSE port END AS port, CASE WHEN is_store THEN NULL ELSE
            CASE port WHEN 25 THEN 'smtp' WHEN 143 THEN 'imap' WHEN 5432 THEN 'postgres' END END AS starttls,
        CASE WHEN is_store THEN 'host' || m / 3 || '.corp.example'
            ELSE '10.' || (m / 3 >> 16) % 256 || '.' || (m / 3 >> 8) % 256 || '.' || (m / 3) % 256 END AS address,
        CASE WHEN is_store THEN '/etc/ssl/site' || m || '.pem' END AS path,
        -- First each certificate once, then some more often than others; predecessors mostly nowhere.
        CASE WHEN m <= :certificates THEN m ELSE 1 + (:certificates * power(pg_temp.draw(m, 32), 2))::bigint % :certificates END AS n
    FROM (
        SELECT m, pg_temp.draw(m, 30) < 0.1 AS is_store, CASE
                WHEN pg_temp.draw(m, 31) < 0.70 THEN 443 WHEN pg_temp.draw(m, 31) < 0.80 THEN 8443
                WHEN pg_temp.draw(m, 31) < 0.84 THEN 25 WHEN pg_temp.draw(m, 31) < 0.87 THEN 993
                WHEN pg_temp.draw(m, 31) < 0.90 THEN 636 WHEN pg_temp.draw(m, 31) < 0.92 THEN 5432
                WHEN pg_temp.draw(m, 31) < 0.93 THEN 143 ELSE 9000 + m % 40
            END AS port
        FROM generate_series(1, :places) AS m
    ) AS first
) AS second
JOIN drawn ON drawn.n = CASE WHEN second.n % 7 = 0 AND m % 10 > 0 THEN second.n - 1 ELSE second.n END;
ALTER TABLE sites ADD key text, ADD id text, ADD chain_digest text;
UPDATE sites SET
    key = CASE WHEN is_store THEN 'store://' || address || '/' || path
        ELSE coalesce(starttls || '+', '') || 'tls://' || address || ':' || port || '/' || server_name END,
    chain_digest = encode(sha256(convert_to(fingerprint || chain, 'UTF8')), 'hex');
-- The same name on the same address and port would be the same place.
UPDATE sites SET key = sites.key || m, server_name = server_name || m
FROM (SELECT key FROM sites GROUP BY key HAVING count(*) > 1) AS twice WHERE twice.key = sites.key;
UPDATE sites SET id = substr(encode(sha256(convert_to(key, 'UTF8')), 'hex'), 1, 32);
ANALYZE sites;

-- part: places
INSERT INTO places (id, key, kind, address, port, server_name, starttls, path)
SELECT id, key, CASE WHEN is_store THEN 'store' ELSE 'endpoint' END, address, port, server_name, starttls, path FROM sites;

-- part: sightings
INSERT INTO sightings (place_id, fingerprint, chain_digest, first_seen, last_seen, is_watched, is_awaited, is_proof)
SELECT id, CASE WHEN NOT is_lost THEN fingerprint END, CASE WHEN NOT is_lost THEN chain_digest END, first_seen, now(), false, false, is_proof
FROM sites;

-- part: servings
INSERT INTO servings (place_id, since, fingerprint, last_seen, until)
SELECT id, first_seen, fingerprint, now(), CASE WHEN is_lost THEN now() END FROM sites;

-- part: held
INSERT INTO held (place_id, observed_at, key_fingerprint, is_key_exposed, is_key_match, in_use, details, format, is_named, is_joined, is_waiting)
SELECT sites.id, now(), key_fingerprint, pg_temp.draw(m, 40) < 0.05, true, is_proof,
    jsonb_build_object('format', 'pem', 'mode', 384, 'owner', 'root', 'in_use', is_proof,
        'key', jsonb_build_object('path', path || '.key', 'fingerprint', key_fingerprint, 'is_match', true)),
    'pem', is_proof, true, false
FROM sites JOIN certificates USING (fingerprint) WHERE is_store;

-- part: flaws
INSERT INTO flaws (place_id, flaw, since, ended_at)
SELECT id, flaw, first_seen, CASE WHEN pg_temp.draw(m, 42) < 0.3 THEN now() END
FROM sites, LATERAL (
    SELECT CASE WHEN NOT is_store THEN 'not-configured' ELSE
        (ARRAY['key-exposed', 'key-shared', 'not-served', 'unused', 'key-mismatch', 'key-replaceable'])[1 + m % 6] END AS flaw
) AS wrong
WHERE pg_temp.draw(m, 41) < CASE WHEN is_store THEN 0.2 ELSE 0.01 END;

-- part: assessments
INSERT INTO assessments (place_id, due_at, fingerprint, grade, score, details, pq_key_exchange, pq_signature, rules, assessed_at)
SELECT id, now() + (30 + 300 * pg_temp.draw(m, 50)) * interval '1 day', fingerprint,
    CASE WHEN NOT is_store AND pg_temp.draw(m, 51) < 0.8 THEN
        (ARRAY['A+', 'A', 'A', 'A', 'A', 'A-', 'B', 'B', 'C', 'F', 'T', 'M'])[1 + (12 * pg_temp.draw(m, 52))::integer % 12] END,
    80, '{"reasons": [], "not_checked": ["trust", "hsts"], "deadlines": []}',
    CASE WHEN is_store THEN 'unknown' ELSE (ARRAY['preferred', 'offered', 'none', 'none', 'none', 'unknown'])[1 + m % 6] END,
    'classical', ':rules', now()
FROM sites WHERE is_proof AND NOT is_lost;

-- part: verdicts
INSERT INTO verdicts (policy_id, place_id, fingerprint, lineage_id, policy_version, verdict, is_by_exception, standing, details, since)
SELECT policy.id, sites.id, fingerprint, pg_temp.id(lineage, 1), policy.version,
    CASE WHEN pg_temp.draw(m, policy.salt) < 0.8 THEN 'pass' WHEN pg_temp.draw(m, policy.salt) < 0.95 THEN 'fail' ELSE 'unknown' END,
    false, CASE WHEN pg_temp.draw(m, policy.salt) BETWEEN 0.8 AND 0.95 THEN 'tls-versions' ELSE '' END, '{"rules": []}', first_seen
FROM sites, (SELECT id, version, 60 + row_number() OVER (ORDER BY id)::integer AS salt FROM policies WHERE is_enabled) AS policy
WHERE is_proof AND NOT is_lost;

-- part: findings
INSERT INTO lints (fingerprint, is_public, linted_with, linted_at, kind, rules)
SELECT fingerprint, issuer < 60, ':linter', now(), CASE WHEN issuer < 60 THEN 'public-tls' ELSE 'private-tls' END, 'pkix' FROM drawn;
INSERT INTO findings (fingerprint, rule, severity, evidence, linter, first_seen, last_seen)
SELECT fingerprint, 'pkix.rule_number_' || rule, (ARRAY['error', 'warning', 'warning', 'notice', 'notice'])[1 + rule % 5],
    'as the seed has it', ':linter', now(), now()
FROM drawn, LATERAL (
    SELECT DISTINCT (60 * power(pg_temp.draw(n, 70 + times), 2))::integer % 60 AS rule
    FROM generate_series(1, 1 + (3 * pg_temp.draw(n, 69))::integer % 3) AS times
) AS broken
WHERE pg_temp.draw(n, 68) < 0.35;

-- part: chains
INSERT INTO served_chains (fingerprint, chain_digest, chain, due_at, judged_at, state, store, trusted_until, details)
SELECT fingerprint, encode(sha256(convert_to(fingerprint || chain, 'UTF8')), 'hex'), jsonb_build_array(chain), now() + interval '300 days',
    now(), CASE WHEN issuer % 20 = 0 THEN 'untrusted' WHEN n % 50 = 0 THEN 'incomplete' ELSE 'valid' END,
    CASE WHEN issuer % 20 = 0 THEN NULL WHEN issuer < 60 THEN 'public' ELSE 'own' END, not_after, '{}'
FROM drawn;
INSERT INTO revocations (fingerprint, due_at, failures, checked_at, state, means)
SELECT fingerprint, NULL, 0, now(), CASE WHEN pg_temp.draw(n, 80) < 0.003 THEN 'revoked' WHEN n % 40 = 0 THEN 'unreachable' ELSE 'good' END, 'ocsp'
FROM drawn WHERE issuer < 120;

-- part: authorities
INSERT INTO authorities (fingerprint, subject, issuer, serial, not_before, not_after, key_type, key_bits, key_fingerprint,
    signature_algorithm, is_self_issued, first_known_at, leaves, outliving)
SELECT pg_temp.print('a', n), 'CN=Issuing CA ' || n || ',O=Authority ' || n / 5 || ',C=US', 'CN=Root CA ' || n / 20, n::text,
    now() - interval '5 years', now() + interval '10 years', 'rsa', 4096, pg_temp.print('ka', n), 'sha256WithRSAEncryption', false, now(),
    coalesce(leaves, 0), 0
FROM generate_series(0, 199) AS n LEFT JOIN (SELECT issuer, count(*) AS leaves FROM drawn GROUP BY issuer) AS counted ON issuer = n;
INSERT INTO issued_under (authority, fingerprint, ends, is_direct) SELECT chain, fingerprint, not_after, true FROM drawn;

-- part: spreads
INSERT INTO twins (fingerprint, digest) SELECT fingerprint, pg_temp.print('t', lineage) FROM drawn;
INSERT INTO spreads (kind, id, weight, certificates, addresses, hosts, places, counted_at)
SELECT 'key', key_fingerprint, 1000 + count(*), count(*), 1, 1, count(*), now()
FROM certificates GROUP BY key_fingerprint HAVING count(*) > 1;
INSERT INTO oddities (fingerprint, code, detail)
SELECT fingerprint, (ARRAY['trailing-bytes', 'version-1', 'serial-not-positive', 'ends-before-it-begins'])[1 + n % 4], ''
FROM drawn WHERE pg_temp.draw(n, 85) < 0.01;

-- part: happenings
INSERT INTO timeline (id, lineage_id, at, kind, text, fingerprint)
SELECT pg_temp.id(n, 3), pg_temp.id(lineage, 1), not_before, 'found', 'Found.', fingerprint FROM drawn;
INSERT INTO crossings (lineage_id, fingerprint, urgency, at, is_told)
SELECT lineage_id, fingerprint, urgency, now(), true FROM certificates WHERE urgency IS NOT NULL;
INSERT INTO replacements (id, lineage_id, old_fingerprint, fingerprint, state, opened_at, stale_places)
SELECT pg_temp.id(n, 4), pg_temp.id(lineage, 1), fingerprint, pg_temp.print('c', lineage),
    CASE WHEN n % 11 > 0 THEN 'replaced' WHEN n % 2 = 0 THEN 'open' ELSE 'stale' END, not_before, '[]'
FROM drawn WHERE is_old;
