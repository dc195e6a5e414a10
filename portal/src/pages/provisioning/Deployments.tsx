import { Anchor } from "@mantine/core";
import { Link } from "react-router";
import { data, provisioner } from "../../api";
import { CertificateName } from "../../parts/CertificateName";
import { Empty } from "../../parts/Empty";
import { Listing } from "../../parts/Listing";
import { State } from "../../parts/Marks";
import { When } from "../../parts/When";

export function Deployments() {
  return (
    <Listing
      label="Deployments"
      queryKey={["deployments"]}
      every={3_000}
      load={(cursor) =>
        data(provisioner.GET("/v1/deployments", { params: { query: cursor ? { cursor } : {} } }))
      }
      rowKey={(each) => each.id}
      columns={[
        {
          title: "Certificate",
          cell: (each) => (
            <Anchor component={Link} to={`/deployments/${each.id}`} size="sm">
              <CertificateName query={`fingerprint = ${each.fingerprint}`} id={each.fingerprint} />
            </Anchor>
          ),
        },
        { title: "State", cell: (each) => <State of={each.state} /> },
        { title: "Failed at", cell: (each) => each.failed_step },
        { title: "Reason", cell: (each) => each.hold_reason ?? each.reason },
        { title: "Begun", cell: (each) => <When at={each.created_at} /> },
        { title: "In place", cell: (each) => <When at={each.deployed_at} none="not yet" /> },
      ]}
      empty={
        <Empty title="Nothing was put in place yet">
          A renewed certificate goes wherever its lineage is bound.
        </Empty>
      }
    />
  );
}
