import { Anchor, Grid, Group, List, Stack, Table, Text, Timeline } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "react-router";
import { data, notifier } from "../api";
import { Act } from "../parts/Act";
import { Card } from "../parts/Card";
import { Facts } from "../parts/Facts";
import { Failure } from "../parts/Failure";
import { Severity, State } from "../parts/Marks";
import { Page } from "../parts/Page";
import { When } from "../parts/When";
import { plain } from "../words";

const WEEK_MS = 7 * 86_400_000;

export function AlertPage() {
  const id = useParams().id ?? "";
  const asked = useQuery({
    queryKey: ["alert", id],
    queryFn: () => data(notifier.GET("/v1/alerts/{alert_id}", { params: { path: { alert_id: id } } })),
  });
  if (asked.error) {
    return (
      <Page title="Alert">
        <Failure error={asked.error} retry={() => asked.refetch()} />
      </Page>
    );
  }
  const known = asked.data;
  if (!known) {
    return <Page title="Alert">{null}</Page>;
  }
  const isOpen = known.state === "open";
  return (
    <Page
      title={known.summary}
      lead={<Severity of={known.severity} />}
      actions={
        isOpen ? (
          <Group gap="xs">
            {known.acknowledged_at ? null : (
              <Act
                label="Acknowledge"
                what="You say that somebody has taken it up. It stays open until the wire shows that it is over."
                reason
                run={(note) =>
                  data(
                    notifier.POST("/v1/alerts/{alert_id}/acknowledge", {
                      params: { path: { alert_id: id } },
                      body: { note },
                    }),
                  )
                }
              />
            )}
            <Act
              label="Snooze for a week"
              variant="default"
              what="Nobody is told for a week, unless it becomes more severe."
              reason
              run={(note) =>
                data(
                  notifier.POST("/v1/alerts/{alert_id}/snooze", {
                    params: { path: { alert_id: id } },
                    body: { note, until: new Date(Date.now() + WEEK_MS).toISOString() },
                  }),
                )
              }
            />
            <Act
              label="Mute"
              variant="default"
              what="Nobody is told of it until it is over."
              reason
              run={(reason) =>
                data(
                  notifier.POST("/v1/alerts/{alert_id}/mute", {
                    params: { path: { alert_id: id } },
                    body: { reason },
                  }),
                )
              }
            />
          </Group>
        ) : null
      }
    >
      <Grid>
        <Grid.Col span={{ base: 12, md: 7 }}>
          <Stack>
            <Card title="What is known">
              <Facts
                of={{
                  State: <State of={known.state} />,
                  Problem: plain(known.problem),
                  "Next step": known.details.next_step,
                  Reason: known.details.reason,
                  Names: known.details.names.join(", "),
                  Owner: known.details.owner,
                  Ends: known.details.not_after && <When at={known.details.not_after} />,
                  Places: known.details.places.length ? (
                    <List size="sm">
                      {known.details.places.map((place) => (
                        <List.Item key={place}>{place}</List.Item>
                      ))}
                    </List>
                  ) : null,
                  Certificate: known.fingerprint && (
                    <Anchor component={Link} to={`/certificates/${known.fingerprint}`} className="mono">
                      {known.fingerprint.slice(0, 16)}…
                    </Anchor>
                  ),
                  "Resolved because": known.resolved_because,
                }}
              />
            </Card>
            <Card title="Who was told">
              <Table.ScrollContainer minWidth={400}>
                <Table>
                  <Table.Thead>
                    <Table.Tr>
                      <Table.Th scope="col">When</Table.Th>
                      <Table.Th scope="col">State</Table.Th>
                      <Table.Th scope="col">What came back</Table.Th>
                    </Table.Tr>
                  </Table.Thead>
                  <Table.Tbody>
                    {known.deliveries.map((each) => (
                      <Table.Tr key={each.id}>
                        <Table.Td>
                          <When at={each.delivered_at ?? each.created_at} />
                        </Table.Td>
                        <Table.Td>
                          <State of={each.state} />
                        </Table.Td>
                        <Table.Td>{each.answer ?? each.last_error}</Table.Td>
                      </Table.Tr>
                    ))}
                  </Table.Tbody>
                </Table>
              </Table.ScrollContainer>
            </Card>
          </Stack>
        </Grid.Col>
        <Grid.Col span={{ base: 12, md: 5 }}>
          <Card title="History">
            <Timeline bulletSize={12} lineWidth={2}>
              {known.history.map((entry) => (
                <Timeline.Item key={entry.number} title={plain(entry.turn)}>
                  <Text size="sm">{entry.text}</Text>
                  <Text size="xs" c="dimmed" component="div">
                    <When at={entry.at} /> {entry.by}
                  </Text>
                </Timeline.Item>
              ))}
            </Timeline>
          </Card>
        </Grid.Col>
      </Grid>
    </Page>
  );
}
