import { Anchor, Group, List, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { data, inventory } from "../../api";
import type { components } from "../../contracts/inventory";
import { Card } from "../../parts/Card";
import { Failure } from "../../parts/Failure";
import { State } from "../../parts/Marks";
import { When } from "../../parts/When";
import { issuerOf, many, plain } from "../../words";

type Served = components["schemas"]["ChainView"];
type Issuers = Record<string, components["schemas"]["IssuerReportView"] | null>;

const MOST_ISSUERS = 20;

/** What is served above it, and what clients make of that. */
export function Chain({ fingerprint }: { fingerprint: string }) {
  const asked = useQuery({
    queryKey: ["chains", fingerprint],
    queryFn: () =>
      data(inventory.GET("/v1/certificates/{fingerprint}/chains", { params: { path: { fingerprint } } })),
  });
  const above = new Set(
    asked.data?.chains.flatMap(({ chain, path, missing }) => [...chain, ...path, ...missing]),
  );
  above.delete(fingerprint);
  const issuers = useQuery({
    queryKey: ["issuers", "of", fingerprint, ...above],
    enabled: asked.data !== undefined,
    queryFn: () => known([...above].slice(0, MOST_ISSUERS)),
  });
  return (
    <Card title="Chain">
      {asked.error ? <Failure error={asked.error} /> : null}
      {asked.data?.chains.length === 0 ? (
        <Text size="sm">
          No place serves it with a chain: it is known from a store, or not looked at yet.
        </Text>
      ) : null}
      <Stack>
        {asked.data?.chains.map((each) => (
          <One key={each.chain.join()} of={each} issuers={issuers.data ?? {}} />
        ))}
      </Stack>
    </Card>
  );
}

/** Return what is known of issuers; null for those that no place serves. */
async function known(fingerprints: string[]): Promise<Issuers> {
  const asked = fingerprints.map(async (fingerprint) => {
    const answer = data(inventory.GET("/v1/issuers/{fingerprint}", { params: { path: { fingerprint } } }));
    return [fingerprint, await answer.catch(() => null)] as const;
  });
  return Object.fromEntries(await Promise.all(asked));
}

function One({ of, issuers }: { of: Served; issuers: Issuers }) {
  return (
    <Stack gap={4}>
      <Group gap="xs">
        <State of={of.state ?? "not judged yet"} />
        <Text size="sm">
          {many(of.place_count, "place")}
          {of.trust_store ? `; ends in a root of the ${of.trust_store} store` : ""}
        </Text>
      </Group>
      {of.chain.length === 0 ? <Text size="sm">Nothing is served above it.</Text> : null}
      <List size="sm" type="ordered">
        {of.chain.map((each) => (
          <Issuer key={each} fingerprint={each} known={issuers[each]} />
        ))}
      </List>
      {of.problems.map((each) => (
        <Text key={each.state} size="sm" className="breaks">
          <Text span size="sm" fw={600}>
            {plain(each.state)}:
          </Text>{" "}
          {each.evidence}
        </Text>
      ))}
      {of.missing.length ? (
        <>
          <Text size="sm">These should be served too:</Text>
          <List size="sm">
            {of.missing.map((each) => (
              <Issuer key={each} fingerprint={each} known={issuers[each]} />
            ))}
          </List>
        </>
      ) : null}
    </Stack>
  );
}

function Issuer({ fingerprint, known }: { fingerprint: string; known: Issuers[string] | undefined }) {
  if (!known) {
    return (
      <List.Item>
        <span className="mono">{fingerprint.slice(0, 24)}…</span>
      </List.Item>
    );
  }
  return (
    <List.Item>
      <Anchor component={Link} to={`/issuers/${fingerprint}`} size="sm" title={known.subject ?? undefined}>
        {known.subject ? issuerOf(known.subject) : fingerprint}
      </Anchor>
      <Text span size="sm" c="dimmed">
        {", ends "}
        <When at={known.not_after} />
      </Text>
    </List.Item>
  );
}
