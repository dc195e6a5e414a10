import { Code, Group, Text, Timeline } from "@mantine/core";
import { useParams } from "react-router";
import { data, provisioner, renewal } from "../api";
import type { paths } from "../contracts/renewal";
import { Act } from "../parts/Act";
import { Card } from "../parts/Card";
import { named, useGroupChoices } from "../parts/choices";
import { Detail, Halves } from "../parts/Detail";
import { Facts } from "../parts/Facts";
import { State } from "../parts/Marks";
import { Page } from "../parts/Page";
import { When } from "../parts/When";
import { Everybody } from "../parts/Who";
import { plain } from "../words";

type Approval = paths["/v1/approvals/{approval_id}"]["get"]["responses"][200]["content"]["application/json"];

export function ApprovalPage() {
  const { service, id = "" } = useParams();
  const path = { approval_id: id };
  return (
    <Detail
      title="Approval"
      queryKey={["approval", service, id]}
      load={() =>
        service === "provisioner"
          ? data(provisioner.GET("/v1/approvals/{approval_id}", { params: { path } }))
          : data(renewal.GET("/v1/approvals/{approval_id}", { params: { path } }))
      }
    >
      {(known) => <Shown service={service} path={path} known={known} />}
    </Detail>
  );
}

interface ShownProps {
  service: string | undefined;
  path: { approval_id: string };
  known: Approval;
}

function Shown({ service, path, known }: ShownProps) {
  const groups = useGroupChoices();
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
      <Halves
        wide={7}
        left={
          <Card title="Exactly what would be done">
            <Code block tabIndex={0}>
              {JSON.stringify(known.document, null, 2)}
            </Code>
            <Text size="xs" c="dimmed" mt="xs" className="mono">
              {known.digest}
            </Text>
          </Card>
        }
        right={
          <Card title="Who decides">
            <Facts
              of={{
                Needed: known.needed,
                Roles: known.approver_roles.join(", "),
                Groups: named(known.approver_groups, groups),
                "Asked by": <Everybody ids={known.requesters} />,
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
        }
      />
    </Page>
  );
}
