import { Code } from "@mantine/core";
import { data, inventory } from "../../api";
import { Empty } from "../../parts/Empty";
import { Form } from "../../parts/Form";
import { Listing } from "../../parts/Listing";
import { Upkeep } from "../../parts/Upkeep";
import { count } from "../../words";

const FIELDS = ["name", "description", "rule"];
/** A group that is filled by hand has no rule, and gets none. */
const BY_HAND = ["name", "description"];

export function Groups() {
  return (
    <Listing
      label="Groups"
      queryKey={["groups"]}
      actions={<Form label="New group" service="inventory" path="/v1/groups" fields={FIELDS} />}
      load={(cursor) => data(inventory.GET("/v1/groups", { params: { query: cursor ? { cursor } : {} } }))}
      rowKey={(each) => each.id}
      columns={[
        { title: "Group", cell: (each) => each.name },
        { title: "Id", cell: (each) => <Code>{each.id}</Code> },
        { title: "Rule", cell: (each) => <span className="mono">{each.rule ?? "by hand"}</span> },
        { title: "Certificates", cell: (each) => count(each.members) },
        {
          title: "",
          cell: (each) => (
            <Upkeep
              of={each}
              service="inventory"
              path="/v1/groups/{group_id}"
              ids={{ group_id: each.id }}
              fields={each.rule === null ? BY_HAND : FIELDS}
              gone={`${each.name} is no more; who was limited to it sees nothing of it any more.`}
            />
          ),
        },
      ]}
      empty={<Empty title="There is no group">Groups say who may see and change what.</Empty>}
    />
  );
}
