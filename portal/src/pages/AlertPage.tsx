import { Anchor, Group, List, Table } from "@mantine/core";
import { Link, useParams } from "react-router";
import { data, notifier } from "../api";
import type { paths } from "../contracts/notifier";
import { Act } from "../parts/Act";
import { Card } from "../parts/Card";
import { Detail, Halves, Happenings } from "../parts/Detail";
import { Facts } from "../parts/Facts";
import { Severity, State } from "../parts/Marks";
import { Page } from "../parts/Page";
import { When } from "../parts/When";
import { Wide } from "../parts/Wide";
import { plain } from "../words";

const WEEK_MS = 7 * 86_400_000;

type Alerted = paths["/v1/alerts/{alert_id}"]["get"]["responses"][200]["content"]["application/json"];

export function AlertPage() {
  const id = useParams().id ?? "";
  return (
    <Detail
      title="Alert"
      queryKey={["alert", id]}
      load={() => data(notifier.GET("/v1/alerts/{alert_id}", { params: { path: { alert_id: id } } }))}
    >
      {(known) => <Shown id={id} known={known} />}
    </Detail>
  );
}

function Shown({ id, known }: { id: string; known: Alerted }) {
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
            {known.snoozed_until || known.muted_at ? (
              <Act
                label="Wake"
                variant="default"
                what="It is told again, by all rules that are for it."
                run={() =>
                  data(notifier.POST("/v1/alerts/{alert_id}/wake", { params: { path: { alert_id: id } } }))
                }
              />
            ) : null}
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
      <Halves
        wide={7}
        left={
          <>
            <Card title="What is known">
              <Facts
                of={{
                  State: <State of={known.state} />,
                  "Put off until": known.snoozed_until && <When at={known.snoozed_until} />,
                  "Muted because": known.muted_because,
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
              <Wide label="Deliveries" minWidth={400}>
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
              </Wide>
            </Card>
          </>
        }
        right={
          <Card title="History">
            <Happenings
              of={known.history.map((entry) => ({
                key: String(entry.number),
                title: plain(entry.turn),
                text: entry.text,
                at: entry.at,
                by: entry.by,
              }))}
            />
          </Card>
        }
      />
    </Page>
  );
}
