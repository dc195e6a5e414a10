import { data, provisioner } from "../../api";
import { named, useGroupChoices } from "../../parts/choices";
import { Empty } from "../../parts/Empty";
import { Form } from "../../parts/Form";
import { Listing } from "../../parts/Listing";
import { type Check, Tried } from "../../parts/Tried";
import { Upkeep } from "../../parts/Upkeep";
import { When } from "../../parts/When";
import { plain } from "../../words";

const KINDS = { path: "/v1/target-kinds", parts: { options: "options", credential: "credential" } };

export function Targets() {
  const groups = useGroupChoices();
  return (
    <Listing
      label="Targets"
      actions={
        <Form
          label="New target"
          service="provisioner"
          path="/v1/targets"
          fields={["name", "kind", "host", "port", "username", "host_key", "options", "credential", "groups"]}
          kinds={KINDS}
          choices={{ groups }}
        />
      }
      queryKey={["targets"]}
      load={(cursor) => data(provisioner.GET("/v1/targets", { params: { query: cursor ? { cursor } : {} } }))}
      rowKey={(each) => each.id}
      columns={[
        { title: "Name", cell: (each) => each.name },
        { title: "Kind", cell: (each) => plain(each.kind) },
        { title: "Where", cell: (each) => (each.host ? `${each.username}@${each.host}:${each.port}` : "") },
        { title: "Groups", cell: (each) => named(each.groups, groups) },
        { title: "Changed", cell: (each) => <When at={each.updated_at} /> },
        {
          title: "",
          cell: (each) => (
            <Upkeep
              of={each}
              service="provisioner"
              path="/v1/targets/{target_id}"
              ids={{ target_id: each.id }}
              fields={["host", "port", "username", "host_key", "options", "credential", "groups"]}
              kinds={KINDS}
              kind={each.kind}
              choices={{ groups }}
              gone={`${each.name} is known no more. It stays as it is, and so do its certificates.`}
            >
              <TryOut id={each.id} name={each.name} />
            </Upkeep>
          ),
        },
      ]}
      empty={<Empty title="No target is known">Accept a proposal, and its target is made with it.</Empty>}
    />
  );
}

function TryOut({ id, name }: { id: string; name: string }) {
  return (
    <Form
      label="Check"
      variant="default"
      service="provisioner"
      path="/v1/targets/{target_id}/check"
      ids={{ target_id: id }}
      what={`${name} is logged into, and what works is said. Nothing is changed there.`}
      shown={(tried) => <Tried checks={tried.checks as Check[]} />}
    />
  );
}
