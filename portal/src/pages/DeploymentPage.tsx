import { Anchor } from "@mantine/core";
import { Link, useParams } from "react-router";
import { data, provisioner } from "../api";
import type { paths } from "../contracts/provisioner";
import { Act } from "../parts/Act";
import { Card } from "../parts/Card";
import { CertificateName } from "../parts/CertificateName";
import { Detail, Halves, Happenings } from "../parts/Detail";
import { Facts } from "../parts/Facts";
import { State } from "../parts/Marks";
import { Page } from "../parts/Page";
import { When } from "../parts/When";
import { plain } from "../words";

const MAY_BE_TRIED = ["waiting", "failed", "restored", "needs_attention"];

type Deployment =
  paths["/v1/deployments/{deployment_id}"]["get"]["responses"][200]["content"]["application/json"];

export function DeploymentPage() {
  const id = useParams().id ?? "";
  return (
    <Detail
      title="Deployment"
      queryKey={["deployment", id]}
      every={2_000}
      load={() =>
        data(provisioner.GET("/v1/deployments/{deployment_id}", { params: { path: { deployment_id: id } } }))
      }
    >
      {(known) => <Shown id={id} known={known} />}
    </Detail>
  );
}

function Shown({ id, known }: { id: string; known: Deployment }) {
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
      <Halves
        left={
          <Card title="The deployment">
            <Facts
              of={{
                Certificate: (
                  <Anchor component={Link} to={`/certificates/${known.fingerprint}`} size="sm">
                    <CertificateName query={`fingerprint = ${known.fingerprint}`} id={known.fingerprint} />
                  </Anchor>
                ),
                Order: (
                  <Anchor component={Link} to={`/orders/${known.order_id}`} className="mono">
                    {known.order_id}
                  </Anchor>
                ),
                "Waits because": known.hold_reason,
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
        }
        right={
          <Card title="Steps">
            <Happenings
              of={known.steps.map((step) => ({
                key: `${step.attempt} ${step.at} ${step.step}`,
                title: `${plain(step.step)}${step.ok ? "" : ": failed"}`,
                text: step.text,
                at: step.at,
                isBad: !step.ok,
              }))}
            />
          </Card>
        }
      />
    </Page>
  );
}
