import { Code, Grid, Group, Text, Timeline } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useParams } from "react-router";
import { data, provisioner, renewal } from "../api";
import { Act } from "../parts/Act";
import { Card } from "../parts/Card";
import { Facts } from "../parts/Facts";
import { Failure } from "../parts/Failure";
import { State } from "../parts/Marks";
import { Page } from "../parts/Page";
import { When } from "../parts/When";
import { plain } from "../words";

export function ApprovalPage() {
  const { service, id = "" } = useParams();
  const path = { approval_id: id };
  const asked = useQuery({
    queryKey: ["approval", service, id],
    queryFn: () =>
      service === "provisioner"
        ? data(provisioner.GET("/v1/approvals/{approval_id}", { params: { path } }))
        : data(renewal.GET("/v1/approvals/{approval_id}", { params: { path } })),
  });
  if (asked.error) {
    return (
      <Page title="Approval">
        <Failure error={asked.error} retry={() => asked.refetch()} />
      </Page>
    );
  }
  const known = asked.data;
  if (!known) {
    return <Page title="Approval">{null}</Page>;
  }
  // The digest of what is shown: had it changed meanwhile, the word would count for nothing.
  const say = (verdict: "grant" | "refuse") => (reason: string) => {
    const said = { params: { path }, body: { verdict, digest: known.digest, reason } };
    return service === "provisioner"
      ? data(provisioner.POST("/v1/approvals/{approval_id}/decisions", said))
      : data(renewal.POST("/v1/approvals/{approval_id}/decisions", said));
  };
  return (
    <Page
      title={`Approval of a ${plain(known.kind)}`}
      lead={<State of={known.state} />}
      actions={
        known.state === "open" ? (
          <Group gap="xs">
            <Act label="Grant" what="You agree to exactly what is shown here." reason run={say("grant")} />
            <Act label="Refuse" color="red" what="It is not done." reason run={say("refuse")} />
          </Group>
        ) : null
      }
    >
      <Grid>
        <Grid.Col span={{ base: 12, md: 7 }}>
          <Card title="Exactly what would be done">
            <Code block tabIndex={0}>
              {JSON.stringify(known.document, null, 2)}
            </Code>
            <Text size="xs" c="dimmed" mt="xs" className="mono">
              {known.digest}
            </Text>
          </Card>
        </Grid.Col>
        <Grid.Col span={{ base: 12, md: 5 }}>
          <Card title="Who decides">
            <Facts
              of={{
                Needed: known.needed,
                Roles: known.approver_roles.join(", "),
                Groups: known.approver_groups.join(", "),
                "Asked by": known.requesters.join(", "),
                "Runs out": <When at={known.expires_at} />,
              }}
            />
            <Timeline mt="md" bulletSize={12} lineWidth={2}>
              {known.decisions.map((each) => (
                <Timeline.Item key={`${each.principal} ${each.at}`} title={`${each.name}: ${each.verdict}`}>
                  <Text size="sm">{each.reason}</Text>
                  {each.objection ? (
                    <Text size="sm" c="red">
                      {each.objection}
                    </Text>
                  ) : null}
                </Timeline.Item>
              ))}
            </Timeline>
          </Card>
        </Grid.Col>
      </Grid>
    </Page>
  );
}
