import { Alert, Anchor, Group, List, Stack, Table, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "react-router";
import { data, inventory, provisioner, Refusal, renewal } from "../api";
import type { components } from "../contracts/inventory";
import { Act } from "../parts/Act";
import { Card } from "../parts/Card";
import { useGroupChoices, useTeamChoices } from "../parts/choices";
import { Detail, Halves, Happenings } from "../parts/Detail";
import { Facts } from "../parts/Facts";
import { Failure } from "../parts/Failure";
import { Form } from "../parts/Form";
import { Severity, Standing, State } from "../parts/Marks";
import { Page } from "../parts/Page";
import { exactTime, When } from "../parts/When";
import { Wide } from "../parts/Wide";
import { keyOf, many, nameOf, plain, REASON } from "../words";

type Report = components["schemas"]["CertificateReportView"];

export function CertificatePage() {
  const fingerprint = useParams().fingerprint ?? "";
  return (
    <Detail
      title="Certificate"
      queryKey={["certificate", fingerprint]}
      load={() =>
        data(inventory.GET("/v1/certificates/{fingerprint}", { params: { path: { fingerprint } } }))
      }
    >
      {(known) => <Shown known={known} />}
    </Detail>
  );
}

function Shown({ known }: { known: Report }) {
  const { fingerprint } = known;
  return (
    <Page
      title={nameOf(known)}
      lead={
        <Group gap="xs">
          <Standing of={known} />
          <span>
            ends <When at={known.not_after} />
          </span>
        </Group>
      }
      actions={
        <Group gap="xs">
          <Form
            label="Go out in waves"
            variant="default"
            service="provisioner"
            method="put"
            path="/v1/rollout-policies/{lineage_id}"
            ids={{ lineage_id: known.lineage_id }}
            what="From the next renewal on: on canaries first, then a share at a time, and it stops where it fails."
          />
          <Form
            label="Change"
            variant="default"
            service="inventory"
            method="patch"
            path="/v1/certificates/{fingerprint}"
            ids={{ fingerprint }}
            what="Whose it is, and what belongs to it; what is left out stays."
            fields={["owner", "add_to_groups", "remove_from_groups", "add_tags", "remove_tags", "set_fields"]}
            choices={{
              owner: useTeamChoices(),
              add_to_groups: useGroupChoices(),
              remove_from_groups: known.groups.map((id) => ({ value: id, label: id })),
            }}
          />
        </Group>
      }
    >
      <Halves
        wide={7}
        left={
          <>
            <What known={known} />
            <Chain fingerprint={fingerprint} />
            <Places known={known} />
            <Configured fingerprint={fingerprint} />
            <Findings fingerprint={fingerprint} />
          </>
        }
        right={
          <>
            <Renewing known={known} />
            <Lineage lineageId={known.lineage_id} shown={fingerprint} />
            <Happened lineageId={known.lineage_id} />
          </>
        }
      />
    </Page>
  );
}

function What({ known }: { known: Report }) {
  return (
    <Card title="What it says">
      <Facts
        of={{
          Names: (
            <List size="sm" spacing={0} listStyleType="none">
              {known.names.slice(0, 20).map((name) => (
                <List.Item key={name}>{name}</List.Item>
              ))}
              {known.names.length > 20 ? <List.Item>and {known.names.length - 20} more</List.Item> : null}
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
          Tags: known.tags.join(", "),
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

/** What is served above it, and what clients make of that. */
function Chain({ fingerprint }: { fingerprint: string }) {
  const asked = useQuery({
    queryKey: ["chains", fingerprint],
    queryFn: () =>
      data(inventory.GET("/v1/certificates/{fingerprint}/chains", { params: { path: { fingerprint } } })),
  });
  const issuers = useQuery({
    queryKey: ["issuers", "of", fingerprint],
    enabled: asked.data !== undefined,
    queryFn: async () => {
      const above = new Set(
        asked.data?.chains.flatMap(({ chain, path, missing }) => [...chain, ...path, ...missing]),
      );
      above.delete(fingerprint);
      const found = [...above].slice(0, 20).map(async (one) => {
        const path = { fingerprint: one };
        const known = data(inventory.GET("/v1/issuers/{fingerprint}", { params: { path } })).catch(
          () => null,
        );
        return [one, await known] as const;
      });
      return Object.fromEntries(await Promise.all(found));
    },
  });
  if (!asked.data || asked.data.chains.length === 0) {
    return null;
  }
  const named = (one: string) => {
    const known = issuers.data?.[one];
    return (
      <List.Item key={one}>
        {known?.subject ?? <span className="mono">{one.slice(0, 24)}…</span>}
        {known?.not_after ? (
          <Text span size="sm" c="dimmed">
            {", ends "}
            <When at={known.not_after} />
          </Text>
        ) : null}
      </List.Item>
    );
  };
  return (
    <Card title="Chain">
      <Stack>
        {asked.data.chains.map((each) => (
          <div key={each.chain.join()}>
            <Group gap="xs">
              <State of={each.state ?? "not judged yet"} />
              <Text size="sm">
                {many(each.place_count, "place")}
                {each.trust_store ? `; ends in a root of the ${each.trust_store} store` : ""}
              </Text>
            </Group>
            <List size="sm" type="ordered">
              {each.chain.map(named)}
            </List>
            {each.chain.length === 0 ? <Text size="sm">Nothing is served above it.</Text> : null}
            {each.missing.length ? (
              <>
                <Text size="sm">These should be served too:</Text>
                <List size="sm">{each.missing.map(named)}</List>
              </>
            ) : null}
          </div>
        ))}
      </Stack>
    </Card>
  );
}

/** Where it is configured, beside whether it is served from there. */
function Configured({ fingerprint }: { fingerprint: string }) {
  const asked = useQuery({
    queryKey: ["holdings", fingerprint],
    queryFn: () => data(inventory.GET("/v1/holdings", { params: { query: { fingerprint, limit: 50 } } })),
  });
  if (!asked.data || asked.data.items.length === 0) {
    return null;
  }
  return (
    <Card title="Where it is kept and configured">
      <Stack gap="sm">
        {asked.data.items.map((each) => (
          <div key={each.place.id}>
            <Text size="sm">
              {each.place.address} <span className="mono">{each.place.path}</span> ({plain(each.held.format)})
            </Text>
            {each.slots.map((slot, at) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: slots have no name, and their order is theirs
              <Text key={at} size="sm" c="dimmed">
                {slotSays(slot)}
              </Text>
            ))}
            {each.flaws.length ? <Text size="sm">{each.flaws.map(plain).join(", ")}</Text> : null}
          </div>
        ))}
      </Stack>
    </Card>
  );
}

function slotSays(slot: object): string {
  return Object.entries(slot)
    .filter(([, value]) => typeof value === "string" || typeof value === "number")
    .map(([name, value]) => `${plain(name)}: ${value}`)
    .join(", ");
}

/** Its lineage: what came before it, and after. */
function Lineage({ lineageId, shown }: { lineageId: string; shown: string }) {
  const asked = useQuery({
    queryKey: ["certificate", "lineage", lineageId],
    queryFn: () =>
      data(inventory.GET("/v1/lineages/{lineage_id}", { params: { path: { lineage_id: lineageId } } })),
  });
  if (!asked.data) {
    return null;
  }
  return (
    <Card title="Lineage">
      <Stack gap={4}>
        {asked.data.certificates.slice(0, 20).map((each) => (
          <Group key={each.fingerprint} justify="space-between" wrap="nowrap">
            <Anchor
              component={Link}
              to={`/certificates/${each.fingerprint}`}
              size="sm"
              className="mono"
              fw={each.fingerprint === shown ? 700 : 400}
              aria-current={each.fingerprint === shown ? "true" : undefined}
            >
              {each.fingerprint.slice(0, 16)}…
            </Anchor>
            <Group gap="xs" wrap="nowrap">
              <Text size="sm" component="span">
                <When at={each.not_after} />
              </Text>
              <Standing of={each} />
            </Group>
          </Group>
        ))}
      </Stack>
    </Card>
  );
}

/** What renewing would do: where the new one would go, in which order and when. */
function WouldDo({ lineageId }: { lineageId: string }) {
  const asked = useQuery({
    queryKey: ["plan", lineageId],
    queryFn: () =>
      data(provisioner.GET("/v1/plans/{lineage_id}", { params: { path: { lineage_id: lineageId } } })),
    retry: false,
  });
  if (!asked.data) {
    return null;
  }
  return (
    <Stack gap="xs" mt="md">
      <Text size="sm" fw={600}>
        What renewing would do
      </Text>
      {asked.data.slots.length === 0 ? (
        <Text size="sm">Nothing would be put in place: it is bound nowhere.</Text>
      ) : null}
      {asked.data.approvals_needed ? (
        <Text size="sm">{many(asked.data.approvals_needed, "approval")} first.</Text>
      ) : null}
      {asked.data.slots.map((slot) => (
        <div key={slot.binding_id}>
          <Text size="sm">
            {slot.position}. {slot.target}, <span className="mono">{slot.slot}</span>:{" "}
            <When at={slot.begins_at} />
          </Text>
          <List size="sm">
            {slot.steps.map((step) => (
              <List.Item key={`${step.step} ${step.text}`}>{step.text}</List.Item>
            ))}
          </List>
          {[slot.hold_reason, ...slot.obstacles].filter(Boolean).map((each) => (
            <Text key={each} size="sm" c="dimmed">
              {each}
            </Text>
          ))}
        </div>
      ))}
    </Stack>
  );
}

function Places({ known }: { known: Report }) {
  return (
    <Card title={many(known.place_count, "place")}>
      <Wide label="Places, one by one" minWidth={420}>
        <Table verticalSpacing={4}>
          <Table.Thead>
            <Table.Tr>
              <Table.Th scope="col">Where</Table.Th>
              <Table.Th scope="col">Name asked for</Table.Th>
              <Table.Th scope="col">Last seen</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {known.places.map((place) => (
              <Table.Tr key={place.id}>
                <Table.Td>
                  {place.path ?? `${place.address}:${place.port}`} {place.starttls}
                </Table.Td>
                <Table.Td>{place.server_name}</Table.Td>
                <Table.Td>
                  <When at={place.last_seen} />
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Wide>
    </Card>
  );
}

function Findings({ fingerprint }: { fingerprint: string }) {
  const asked = useQuery({
    queryKey: ["findings", fingerprint],
    queryFn: () =>
      data(inventory.GET("/v1/certificates/{fingerprint}/findings", { params: { path: { fingerprint } } })),
  });
  if (asked.error || !asked.data) {
    return null;
  }
  return (
    <Card title="Findings">
      {asked.data.findings.length === 0 ? <Text size="sm">It breaks no rule that was looked at.</Text> : null}
      <Stack gap="sm">
        {asked.data.findings.map((finding) => (
          <div key={finding.rule}>
            <Group gap="xs">
              <Severity of={finding.severity} />
              <Text size="sm" className="mono">
                {finding.rule}
              </Text>
            </Group>
            <Text size="sm">{finding.evidence}</Text>
            {finding.remedy ? (
              <Text size="sm" c="dimmed">
                {finding.remedy}
              </Text>
            ) : null}
          </div>
        ))}
      </Stack>
    </Card>
  );
}

function Renewing({ known }: { known: Report }) {
  const lineageId = known.lineage_id;
  const schedule = useQuery({
    queryKey: ["schedule", lineageId],
    queryFn: async () => {
      try {
        return await data(
          renewal.GET("/v1/schedules/{lineage_id}", { params: { path: { lineage_id: lineageId } } }),
        );
      } catch (error) {
        if (error instanceof Refusal && error.status === 404) {
          return null;
        }
        throw error;
      }
    },
  });
  return (
    <Card title="Renewal">
      {schedule.error ? <Failure error={schedule.error} /> : null}
      {schedule.data ? (
        <Stack gap="sm">
          <Facts
            of={{
              "Renewed on": <When at={schedule.data.renew_at} none="not known yet" />,
              Because: REASON[schedule.data.reason] ?? schedule.data.reason,
              Ordered: schedule.data.ordered_at && <When at={schedule.data.ordered_at} />,
            }}
          />
          <Group>
            <Act
              label="Renew now"
              what="A new key and a new request are made, and the new certificate is put wherever this one is bound."
              run={() =>
                data(
                  renewal.POST("/v1/schedules/{lineage_id}/renew-now", {
                    params: { path: { lineage_id: lineageId } },
                  }),
                )
              }
            />
          </Group>
        </Stack>
      ) : null}
      {schedule.data === null ? <Adopting fingerprint={known.fingerprint} /> : null}
      <WouldDo lineageId={lineageId} />
      <Bound lineageId={lineageId} />
    </Card>
  );
}

function Adopting({ fingerprint }: { fingerprint: string }) {
  const asked = useQuery({
    queryKey: ["adoption", fingerprint],
    queryFn: () => data(renewal.GET("/v1/adoptions/{fingerprint}", { params: { path: { fingerprint } } })),
    retry: false,
  });
  if (asked.error) {
    return <Failure error={asked.error} />;
  }
  if (!asked.data) {
    return null;
  }
  const fit = asked.data;
  return (
    <Stack gap="sm">
      <Text size="sm">Nobody renews it by itself.</Text>
      {fit.obstacle ? (
        <Text size="sm">
          {fit.obstacle} {fit.next_step}
        </Text>
      ) : (
        <>
          <Facts of={{ Profile: fit.profile, Authority: fit.authority, Key: fit.key_type }} />
          <Group>
            <Act
              label="Have it renewed by itself"
              what={`From now on the profile ${fit.profile} renews it before it ends.`}
              run={() => data(renewal.POST("/v1/adoptions", { body: { fingerprint } }))}
            />
          </Group>
        </>
      )}
    </Stack>
  );
}

function Bound({ lineageId }: { lineageId: string }) {
  const asked = useQuery({
    queryKey: ["deployments", lineageId],
    queryFn: () =>
      data(provisioner.GET("/v1/deployments", { params: { query: { lineage_id: lineageId, limit: 5 } } })),
    retry: false,
  });
  if (!asked.data || asked.data.items.length === 0) {
    return null;
  }
  return (
    <Stack gap={4} mt="md">
      <Text size="sm" fw={600}>
        Last deployments
      </Text>
      {asked.data.items.map((each) => (
        <Group key={each.id} justify="space-between">
          <Anchor component={Link} to={`/deployments/${each.id}`} size="sm">
            <When at={each.created_at} />
          </Anchor>
          <State of={each.state} />
        </Group>
      ))}
    </Stack>
  );
}

function Happened({ lineageId }: { lineageId: string }) {
  const asked = useQuery({
    queryKey: ["timeline", lineageId],
    queryFn: () =>
      data(
        inventory.GET("/v1/lineages/{lineage_id}/timeline", {
          params: { path: { lineage_id: lineageId }, query: { limit: 50 } },
        }),
      ),
  });
  if (!asked.data) {
    return null;
  }
  return (
    <Card title="What happened">
      <Happenings
        of={asked.data.items.map((each) => ({
          key: each.id,
          title: plain(each.kind),
          text: each.text,
          at: each.at,
        }))}
      />
    </Card>
  );
}
