import { Anchor, Stack } from "@mantine/core";
import { Link } from "react-router";
import { data, provisioner } from "../../api";
import { CertificateName } from "../../parts/CertificateName";
import { Empty } from "../../parts/Empty";
import { Listing } from "../../parts/Listing";
import { State } from "../../parts/Marks";
import { Upkeep } from "../../parts/Upkeep";
import { When } from "../../parts/When";
import { many } from "../../words";

export function Rollouts() {
  return (
    <Stack>
      <UnderWay />
      <Policies />
    </Stack>
  );
}

function UnderWay() {
  return (
    <Listing
      label="Rollouts"
      queryKey={["rollouts"]}
      every={3_000}
      load={(cursor) =>
        data(provisioner.GET("/v1/rollouts", { params: { query: cursor ? { cursor } : {} } }))
      }
      rowKey={(each) => each.id}
      columns={[
        {
          title: "Certificate",
          cell: (each) => (
            <Anchor component={Link} to={`/rollouts/${each.id}`} size="sm">
              <CertificateName query={`fingerprint = ${each.fingerprint}`} id={each.fingerprint} />
            </Anchor>
          ),
        },
        { title: "State", cell: (each) => <State of={each.state} /> },
        { title: "Wave", cell: (each) => each.wave },
        { title: "Reason", cell: (each) => each.reason },
        { title: "Begun", cell: (each) => <When at={each.created_at} /> },
        { title: "Over", cell: (each) => <When at={each.finished_at} none="not yet" /> },
      ]}
      empty={
        <Empty title="Nothing goes out in waves">
          A rollout policy puts a certificate on canaries first, then on a share, then everywhere, and stops
          when it fails.
        </Empty>
      }
    />
  );
}

const POLICY = [
  "canaries",
  "share",
  "soak",
  "stop_after",
  "watch",
  "approvals_needed",
  "approver_groups",
  "approver_roles",
];

/** How careful one is with a lineage: canaries first, then a share at a time, and a stop where it fails. */
function Policies() {
  return (
    <Listing
      label="Who goes out in waves"
      queryKey={["rollout-policies"]}
      load={(cursor) =>
        data(provisioner.GET("/v1/rollout-policies", { params: { query: cursor ? { cursor } : {} } }))
      }
      rowKey={(each) => each.lineage_id}
      columns={[
        {
          title: "Lineage",
          cell: (each) => <CertificateName query={`lineage = "${each.lineage_id}"`} id={each.lineage_id} />,
        },
        { title: "Canaries", cell: (each) => each.canaries },
        { title: "Then at once", cell: (each) => `${each.share} %` },
        { title: "Stops after", cell: (each) => many(each.stop_after, "failure") },
        { title: "Approvals", cell: (each) => each.approvals_needed || "none" },
        {
          title: "",
          cell: (each) => (
            <Upkeep
              of={each}
              service="provisioner"
              method="put"
              path="/v1/rollout-policies/{lineage_id}"
              ids={{ lineage_id: each.lineage_id }}
              fields={POLICY}
              gone="It goes everywhere at once from now on."
            />
          ),
        },
      ]}
      empty={
        <Empty title="Everything goes everywhere at once">
          Open a certificate to have its renewals go out canary first.
        </Empty>
      }
    />
  );
}
