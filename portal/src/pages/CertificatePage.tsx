import { Alert, Anchor, Button, Grid, Group, List, Stack, Table, Text, Timeline } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "react-router";
import { data, inventory, provisioner, Refusal, renewal } from "../api";
import type { components } from "../contracts/inventory";
import { Act } from "../parts/Act";
import { Card } from "../parts/Card";
import { Facts } from "../parts/Facts";
import { Failure } from "../parts/Failure";
import { Severity, Standing, State } from "../parts/Marks";
import { Page } from "../parts/Page";
import { exactTime, When } from "../parts/When";
import { keyOf, many, nameOf, plain, REASON } from "../words";

type Report = components["schemas"]["CertificateReportView"];

export function CertificatePage() {
  const fingerprint = useParams().fingerprint ?? "";
  const asked = useQuery({
    queryKey: ["certificate", fingerprint],
    queryFn: () =>
      data(inventory.GET("/v1/certificates/{fingerprint}", { params: { path: { fingerprint } } })),
  });
  if (asked.error) {
    return (
      <Page title="Certificate">
        <Failure error={asked.error} retry={() => asked.refetch()} />
      </Page>
    );
  }
  if (!asked.data) {
    return <Page title="Certificate">{null}</Page>;
  }
  const known = asked.data;
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
        <Button
          size="xs"
          variant="default"
          component={Link}
          to={`/certificates?query=${encodeURIComponent(`lineage = "${known.lineage_id}"`)}`}
        >
          Its lineage
        </Button>
      }
    >
      <Grid>
        <Grid.Col span={{ base: 12, md: 7 }}>
          <Stack>
            <What known={known} />
            <Places known={known} />
            <Findings fingerprint={fingerprint} />
          </Stack>
        </Grid.Col>
        <Grid.Col span={{ base: 12, md: 5 }}>
          <Stack>
            <Renewing known={known} />
            <Happened lineageId={known.lineage_id} />
          </Stack>
        </Grid.Col>
      </Grid>
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

function Places({ known }: { known: Report }) {
  return (
    <Card title={many(known.place_count, "place")}>
      <Table.ScrollContainer minWidth={420}>
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
      </Table.ScrollContainer>
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
      <Timeline bulletSize={12} lineWidth={2}>
        {asked.data.items.map((each) => (
          <Timeline.Item key={each.id} title={plain(each.kind)}>
            <Text size="sm">{each.text}</Text>
            <Text size="xs" c="dimmed" component="div">
              <When at={each.at} />
            </Text>
          </Timeline.Item>
        ))}
      </Timeline>
    </Card>
  );
}
