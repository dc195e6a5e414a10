import { Alert, Anchor, List } from "@mantine/core";
import { Link } from "react-router";
import { Card } from "../../parts/Card";
import { named, useGroupChoices } from "../../parts/choices";
import { Facts } from "../../parts/Facts";
import { exactTime } from "../../parts/When";
import { keyOf, plain } from "../../words";
import type { Report } from "../CertificatePage";

const MOST_NAMES = 20;

/** What the certificate says of itself, and whose it is. */
export function About({ known }: { known: Report }) {
  const groups = useGroupChoices();
  return (
    <Card title="What it says">
      <Facts
        of={{
          Names: (
            <List size="sm" spacing={0} listStyleType="none">
              {known.names.slice(0, MOST_NAMES).map((name) => (
                <List.Item key={name}>{name}</List.Item>
              ))}
              {known.names.length > MOST_NAMES ? (
                <List.Item>and {known.names.length - MOST_NAMES} more</List.Item>
              ) : null}
            </List>
          ),
          Subject: known.subject,
          Issuer: known.issuer,
          Serial: known.serial && <span className="mono">{known.serial}</span>,
          Valid: known.not_before && `${exactTime(known.not_before)} to ${exactTime(known.not_after)}`,
          Key: keyOf(known),
          "Key’s hash": known.key_fingerprint && (
            <Anchor component={Link} to={`/spread?key=${known.key_fingerprint}`} className="mono">
              {known.key_fingerprint}
            </Anchor>
          ),
          Signature: known.signature_algorithm,
          Fingerprint: <span className="mono">{known.fingerprint}</span>,
          Chain: known.chain_state && plain(known.chain_state),
          "Public trust": known.is_trusted === null ? "not known" : known.is_trusted ? "yes" : "no",
          Revocation: known.revocation && plain(known.revocation),
          Owner: known.owner?.name ?? "nobody",
          Groups: named(known.groups, groups),
          Tags: known.tags.join(", "),
          ...Object.fromEntries(Object.entries(known.fields).map(([name, value]) => [name, String(value)])),
        }}
      />
      {known.oddities.map((oddity) => (
        <Alert key={oddity.code} color="yellow" variant="light" mt="sm" title={plain(oddity.code)}>
          {oddity.detail}
        </Alert>
      ))}
    </Card>
  );
}
