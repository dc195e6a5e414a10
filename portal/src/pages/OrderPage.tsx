import { Anchor, Grid, Text, Timeline } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "react-router";
import { data, renewal } from "../api";
import { Act } from "../parts/Act";
import { Card } from "../parts/Card";
import { Facts } from "../parts/Facts";
import { Failure } from "../parts/Failure";
import { State } from "../parts/Marks";
import { Page } from "../parts/Page";
import { When } from "../parts/When";
import { plain, REASON } from "../words";

export function OrderPage() {
  const id = useParams().id ?? "";
  const asked = useQuery({
    queryKey: ["order", id],
    queryFn: () => data(renewal.GET("/v1/orders/{order_id}", { params: { path: { order_id: id } } })),
    refetchInterval: 3_000,
  });
  if (asked.error) {
    return (
      <Page title="Order">
        <Failure error={asked.error} retry={() => asked.refetch()} />
      </Page>
    );
  }
  const known = asked.data;
  if (!known) {
    return <Page title="Order">{null}</Page>;
  }
  return (
    <Page
      title={`Order of ${known.names[0] ?? "a certificate"}`}
      lead={<State of={known.state} />}
      actions={
        known.state === "waiting" || known.state === "failed" ? (
          <Act
            label="Try again now"
            what="The order is tried again at once, whatever it waits for."
            run={() =>
              data(renewal.POST("/v1/orders/{order_id}/retry", { params: { path: { order_id: id } } }))
            }
          />
        ) : null
      }
    >
      <Grid>
        <Grid.Col span={{ base: 12, md: 6 }}>
          <Card title="The order">
            <Facts
              of={{
                Names: known.names.join(", "),
                Authority: known.authority,
                Because: known.reason && (REASON[known.reason] ?? plain(known.reason)),
                "Held by": known.held_by,
                Error: known.last_error,
                "Next step": known.next_step,
                "Next attempt": known.next_attempt_at && <When at={known.next_attempt_at} />,
                Ordered: <When at={known.created_at} />,
                By: known.created_by,
                Certificate: known.fingerprint && (
                  <Anchor component={Link} to={`/certificates/${known.fingerprint}`} className="mono">
                    {known.fingerprint.slice(0, 16)}…
                  </Anchor>
                ),
                "Seen in place": <When at={known.observed_at} none="not yet" />,
              }}
            />
          </Card>
        </Grid.Col>
        <Grid.Col span={{ base: 12, md: 6 }}>
          <Card title="Steps">
            <Timeline bulletSize={12} lineWidth={2}>
              {known.steps.map((step) => (
                <Timeline.Item key={`${step.at} ${step.step}`} title={plain(step.step)}>
                  <Text size="sm">{step.text}</Text>
                  <Text size="xs" c="dimmed" component="div">
                    <When at={step.at} />
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
