import { Anchor } from "@mantine/core";
import { Link } from "react-router";
import { data, provisioner } from "../../api";
import { Empty } from "../../parts/Empty";
import { Form } from "../../parts/Form";
import { Listing } from "../../parts/Listing";

export function Proposals() {
  return (
    <Listing
      label="Proposals"
      queryKey={["proposals"]}
      load={(cursor) =>
        data(
          provisioner.GET("/v1/proposals", {
            params: { query: { state: "open", ...(cursor ? { cursor } : {}) } as never },
          }),
        )
      }
      rowKey={(each) => each.id}
      columns={[
        { title: "Host", cell: (each) => each.host },
        { title: "Server", cell: (each) => each.products.join(", ") },
        { title: "File", cell: (each) => <span className="mono">{each.certificate_path}</span> },
        {
          title: "Certificate",
          cell: (each) => (
            <Anchor component={Link} to={`/certificates/${each.fingerprint}`} size="sm" className="mono">
              {each.fingerprint.slice(0, 12)}…
            </Anchor>
          ),
        },
        {
          title: "Ready",
          cell: (each) =>
            each.is_ready ? (
              <Form
                label="Bind"
                service="provisioner"
                path="/v1/proposals/{proposal_id}/accept"
                ids={{ proposal_id: each.id }}
                what={`From now on ${each.certificate_path} on ${each.host} gets each new certificate.`}
              />
            ) : (
              each.reason
            ),
        },
      ]}
      empty={
        <Empty title="Nothing is proposed">
          Read a host by SSH under Discovery: what its configuration uses is proposed here, ready to be bound.
        </Empty>
      }
    />
  );
}
