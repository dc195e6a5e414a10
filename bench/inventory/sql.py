"""The bare SQL: one statement by hand for each question, which gives what the product's answer shows."""

_SHOWN = """c.id, c.fingerprint, c.lineage_id, c.subject, c.issuer, c.serial, c.names, c.not_before, c.not_after, c.key_type,
 c.key_bits, c.key_fingerprint, c.signature_algorithm, c.is_ca, c.is_self_issued, c.finding, c.is_current, c.urgency,
 c.next_crossing_at, c.first_known_at"""
_LABELS = """(SELECT json_build_object('id', t.id, 'name', t.name, 'set_by', c.owner_set_by) FROM teams t
   WHERE t.id = c.owner_id) AS owner,
 coalesce((SELECT json_agg(g.group_id ORDER BY g.group_id) FROM group_members g
   WHERE g.fingerprint = c.fingerprint), '[]') AS groups,
 coalesce((SELECT json_agg(t.tag ORDER BY t.tag) FROM certificate_tags t
   WHERE t.fingerprint = c.fingerprint), '[]') AS tags,
 coalesce((SELECT json_object_agg(f.name, f.text) FROM certificate_fields f
   WHERE f.fingerprint = c.fingerprint), '{}') AS fields,
 coalesce((SELECT json_agg(d.name ORDER BY d.name) FROM fields d WHERE d.is_required AND NOT EXISTS
   (SELECT FROM certificate_fields f WHERE f.fingerprint = c.fingerprint AND f.name = d.name)), '[]') AS missing_fields"""
ROWS = f"{_SHOWN}, {_LABELS}"
"""What a list shows of a certificate."""
ONE = f"""SELECT {ROWS}, c.chain, s.state AS chain_state, s.trusted_until >= s.judged_at AS is_trusted,
 (SELECT r.state FROM revocations r WHERE r.fingerprint = c.fingerprint) AS revocation,
 coalesce((SELECT json_object_agg(x.severity, x.n) FROM (SELECT f.severity, count(*) AS n FROM findings f
   WHERE f.fingerprint = c.fingerprint GROUP BY f.severity) x), '{{}}') AS findings,
 (SELECT count(*) FROM sightings n WHERE n.fingerprint = c.fingerprint) AS place_count,
 coalesce((SELECT json_agg(p ORDER BY p.id) FROM (SELECT p.id, p.key, p.kind, p.address, p.port, p.server_name, p.starttls,
   p.key_type, p.path, n.fingerprint, n.first_seen, n.last_seen FROM sightings n JOIN places p ON p.id = n.place_id
   WHERE n.fingerprint = c.fingerprint ORDER BY p.id LIMIT 1000) p), '[]') AS places,
 coalesce((SELECT json_agg(json_build_object('urgency', x.urgency, 'at', x.at, 'is_told', x.is_told) ORDER BY x.at)
   FROM crossings x WHERE x.lineage_id = c.lineage_id AND x.fingerprint = c.fingerprint), '[]') AS thresholds_passed,
 coalesce((SELECT json_agg(json_build_object('code', o.code, 'detail', o.detail) ORDER BY o.code) FROM oddities o
   WHERE o.fingerprint = c.fingerprint), '[]') AS oddities
 FROM certificates c LEFT JOIN served_chains s ON s.fingerprint = c.fingerprint AND s.judged_at IS NOT NULL
 WHERE c.fingerprint = $1 LIMIT 1"""
LIST = f"""SELECT {ROWS} FROM certificates c WHERE c.issuer_start = $1 AND c.not_after < $2
 ORDER BY c.not_after, c.id LIMIT $3"""
