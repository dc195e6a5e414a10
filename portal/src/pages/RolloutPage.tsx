import { Anchor, Grid, Group, Stack, Table } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "react-router";
import { data, provisioner } from "../api";
import { Act } from "../parts/Act";
import { Card } from "../parts/Card";
import { Facts } from "../parts/Facts";
import { Failure } from "../parts/Failure";
import { State } from "../parts/Marks";
import { Page } from "../parts/Page";
import { When } from "../parts/When";

/** Canaries, a share, the rest: how far a certificate has come, and what has stopped it. */
export function RolloutPage() {
  const id = useParams().id ?? "";
  const path = { rollout_id: id };
  const asked = useQuery({
    queryKey: ["rollout", id],
    queryFn: () => data(provisioner.GET("/v1/rollouts/{rollout_id}", { params: { path } })),
    refetchInterval: 3_000,
  });
  if (asked.error) {
    return (
      <Page title="Rollout">
        <Failure error={asked.error} retry={() => asked.refetch()} />
      </Page>
    );
  }
  const known = asked.data;
  if (!known) {
    return <Page title="Rollout">{null}</Page>;
  }
  return (
    <Page
      title="Rollout"
      lead={<State of={known.state} />}
      actions={
        known.state === "stopped" ? (
          <Group gap="xs">
            <Act
              label="Go on"
              what="The rollout goes on where it stopped; what failed is tried again."
              run={() => data(provisioner.POST("/v1/rollouts/{rollout_id}/resume", { params: { path } }))}
            />
            <Act
              label="Abort"
              color="red"
              what="What has not begun never begins; what is in place stays."
              reason
              run={(reason) =>
                data(
                  provisioner.POST("/v1/rollouts/{rollout_id}/abort", { params: { path }, body: { reason } }),
                )
              }
            />
          </Group>
        ) : null
      }
    >
      <Grid>
        <Grid.Col span={{ base: 12, md: 5 }}>
          <Card title="How it goes out">
            <Facts
              of={{
                Certificate: (
                  <Anchor component={Link} to={`/certificates/${known.fingerprint}`} className="mono">
                    {known.fingerprint.slice(0, 16)}…
                  </Anchor>
                ),
                Canaries: known.canaries,
                "Then a share of": `${known.share} %`,
                "Waits between": `${known.soak} s`,
                "Stops after failures": known.stop_after,
                Reason: known.reason,
                Begun: <When at={known.created_at} />,
                Over: <When at={known.finished_at} none="not yet" />,
              }}
            />
          </Card>
        </Grid.Col>
        <Grid.Col span={{ base: 12, md: 7 }}>
          <Stack>
            {known.waves.map((wave) => (
              <Card key={wave.wave} title={wave.wave === 0 ? "Canaries" : `Wave ${wave.wave}`}>
                <Group gap="md">
                  {Object.entries(wave.counts).map(([state, count]) => (
                    <Group key={state} gap={6}>
                      <State of={state} /> {count}
                    </Group>
                  ))}
                </Group>
              </Card>
            ))}
            <Card title="Deployments">
              <Table.ScrollContainer minWidth={420}>
                <Table>
                  <Table.Thead>
                    <Table.Tr>
                      <Table.Th scope="col">Wave</Table.Th>
                      <Table.Th scope="col">State</Table.Th>
                      <Table.Th scope="col">Waits for</Table.Th>
                      <Table.Th scope="col">Shown</Table.Th>
                    </Table.Tr>
                  </Table.Thead>
                  <Table.Tbody>
                    {known.deployments.map((each) => (
                      <Table.Tr key={each.id}>
                        <Table.Td>{each.wave}</Table.Td>
                        <Table.Td>
                          <State of={each.state} />
                        </Table.Td>
                        <Table.Td>{each.hold_reason ?? each.reason}</Table.Td>
                        <Table.Td>
                          <Anchor component={Link} to={`/deployments/${each.id}`} size="sm">
                            steps
                          </Anchor>
                        </Table.Td>
                      </Table.Tr>
                    ))}
                  </Table.Tbody>
                </Table>
              </Table.ScrollContainer>
            </Card>
          </Stack>
        </Grid.Col>
      </Grid>
    </Page>
  );
}
