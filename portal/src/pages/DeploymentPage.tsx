import { Anchor, Grid, Text, Timeline } from "@mantine/core";
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
import { plain } from "../words";

const MAY_BE_TRIED = ["waiting", "failed", "restored", "needs_attention"];

export function DeploymentPage() {
  const id = useParams().id ?? "";
  const asked = useQuery({
    queryKey: ["deployment", id],
    queryFn: () =>
      data(provisioner.GET("/v1/deployments/{deployment_id}", { params: { path: { deployment_id: id } } })),
    refetchInterval: 2_000,
  });
  if (asked.error) {
    return (
      <Page title="Deployment">
        <Failure error={asked.error} retry={() => asked.refetch()} />
      </Page>
    );
  }
  const known = asked.data;
  if (!known) {
    return <Page title="Deployment">{null}</Page>;
  }
  return (
    <Page
      title="Deployment"
      lead={<State of={known.state} />}
      actions={
        MAY_BE_TRIED.includes(known.state) ? (
          <Act
            label="Try again now"
            what="It is tried again at once, with all its attempts again."
            run={() =>
              data(
                provisioner.POST("/v1/deployments/{deployment_id}/retry", {
                  params: { path: { deployment_id: id } },
                }),
              )
            }
          />
        ) : null
      }
    >
      <Grid>
        <Grid.Col span={{ base: 12, md: 6 }}>
          <Card title="The deployment">
            <Facts
              of={{
                Certificate: (
                  <Anchor component={Link} to={`/certificates/${known.fingerprint}`} className="mono">
                    {known.fingerprint.slice(0, 16)}…
                  </Anchor>
                ),
                Order: (
                  <Anchor component={Link} to={`/orders/${known.order_id}`} className="mono">
                    {known.order_id}
                  </Anchor>
                ),
                "Failed at": known.failed_step,
                Reason: known.reason,
                "Next step": known.next_step,
                "As it was before": known.restored === null ? null : known.restored ? "yes" : "not yet",
                "Next attempt": known.next_attempt_at && <When at={known.next_attempt_at} />,
                Begun: <When at={known.created_at} />,
                "In place": <When at={known.deployed_at} none="not yet" />,
              }}
            />
          </Card>
        </Grid.Col>
        <Grid.Col span={{ base: 12, md: 6 }}>
          <Card title="Steps">
            <Timeline bulletSize={12} lineWidth={2}>
              {known.steps.map((step) => (
                <Timeline.Item
                  key={`${step.attempt} ${step.at} ${step.step}`}
                  title={`${plain(step.step)}${step.ok ? "" : ": failed"}`}
                  color={step.ok ? "teal" : "red"}
                >
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
