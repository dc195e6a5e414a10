import { Anchor, List, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { data, inventory } from "../../api";
import { Card } from "../../parts/Card";
import { Facts } from "../../parts/Facts";
import { Failure } from "../../parts/Failure";
import { When } from "../../parts/When";
import { count, keyOf, nameOf } from "../../words";
import type { Report } from "../CertificatePage";

const MOST = 10;

/** What else is on its key: all that is lost where the key is. */
export function KeyReach({ known }: { known: Report }) {
  const fingerprint = known.key_fingerprint;
  const asked = useQuery({
    queryKey: ["key", fingerprint],
    enabled: fingerprint !== null,
    queryFn: () =>
      data(
        inventory.GET("/v1/keys/{fingerprint}", { params: { path: { fingerprint: fingerprint as string } } }),
      ),
  });
  const others = asked.data?.certificates.filter((each) => each.fingerprint !== known.fingerprint) ?? [];
  return (
    <Card title="Key">
      {asked.error ? <Failure error={asked.error} /> : null}
      {fingerprint === null ? <Text size="sm">Its key cannot be read.</Text> : null}
      {asked.data ? (
        <Stack gap="sm">
          <Facts
            of={{
              Kind: keyOf(known),
              Certificates: count(asked.data.spread.certificates),
              "Addresses that serve it": count(asked.data.spread.addresses),
              "Hosts that hold it": asked.data.hosts.slice(0, MOST).join(", ") || "none known",
            }}
          />
          {others.length ? (
            <>
              <Text size="sm">These are on the same key:</Text>
              <List size="sm">
                {others.slice(0, MOST).map((each) => (
                  <List.Item key={each.fingerprint}>
                    <Anchor component={Link} to={`/certificates/${each.fingerprint}`} size="sm">
                      {nameOf(each)}
                    </Anchor>
                    <Text span size="sm" c="dimmed">
                      {", ends "}
                      <When at={each.not_after} />
                    </Text>
                  </List.Item>
                ))}
              </List>
              <Anchor component={Link} to={`/spread?key=${fingerprint}`} size="sm">
                How far shared keys reach
              </Anchor>
            </>
          ) : (
            <Text size="sm">No other certificate is on it.</Text>
          )}
        </Stack>
      ) : null}
    </Card>
  );
}
