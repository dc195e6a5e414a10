import { Anchor } from "@mantine/core";
import { Link, useParams } from "react-router";
import { data, renewal } from "../api";
import type { paths } from "../contracts/renewal";
import { Act } from "../parts/Act";
import { Card } from "../parts/Card";
import { Detail, Halves, Happenings } from "../parts/Detail";
import { Facts } from "../parts/Facts";
import { State } from "../parts/Marks";
import { Page } from "../parts/Page";
import { When } from "../parts/When";
import { Who } from "../parts/Who";
import { plain, REASON } from "../words";

type Order = paths["/v1/orders/{order_id}"]["get"]["responses"][200]["content"]["application/json"];

export function OrderPage() {
  const id = useParams().id ?? "";
  return (
    <Detail
      title="Order"
      queryKey={["order", id]}
      every={3_000}
      load={() => data(renewal.GET("/v1/orders/{order_id}", { params: { path: { order_id: id } } }))}
    >
      {(known) => <Shown id={id} known={known} />}
    </Detail>
  );
}

function Shown({ id, known }: { id: string; known: Order }) {
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
      <Halves
        left={
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
                By: <Who id={known.created_by} />,
                Certificate: known.fingerprint && (
                  <Anchor component={Link} to={`/certificates/${known.fingerprint}`} className="mono">
                    {known.fingerprint.slice(0, 16)}…
                  </Anchor>
                ),
                "Seen in place": <When at={known.observed_at} none="not yet" />,
              }}
            />
          </Card>
        }
        right={
          <Card title="Steps">
            <Happenings
              of={known.steps.map((step) => ({
                key: `${step.at} ${step.step}`,
                title: plain(step.step),
                text: step.text,
                at: step.at,
              }))}
            />
          </Card>
        }
      />
    </Page>
  );
}
