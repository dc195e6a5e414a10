import { Code } from "@mantine/core";
import { data, inventory } from "../../api";
import { Empty } from "../../parts/Empty";
import { Form } from "../../parts/Form";
import { Listing } from "../../parts/Listing";
import { Upkeep } from "../../parts/Upkeep";

const FIELDS = ["name", "contacts"];

export function MakeTeam() {
  return <Form label="New team" service="inventory" path="/v1/teams" fields={FIELDS} />;
}

export function Teams() {
  return (
    <Listing
      label="Teams"
      queryKey={["teams"]}
      actions={<MakeTeam />}
      load={(cursor) => data(inventory.GET("/v1/teams", { params: { query: cursor ? { cursor } : {} } }))}
      rowKey={(each) => each.id}
      columns={[
        { title: "Team", cell: (each) => each.name },
        { title: "Id", cell: (each) => <Code>{each.id}</Code> },
        { title: "Contacts", cell: (each) => each.contacts.map((contact) => contact.value).join(", ") },
        {
          title: "",
          cell: (each) => (
            <Upkeep
              of={each}
              service="inventory"
              path="/v1/teams/{team_id}"
              ids={{ team_id: each.id }}
              fields={FIELDS}
              gone={`${each.name} is no more. It must own nothing.`}
            />
          ),
        },
      ]}
      empty={<Empty title="There is no team">Teams own certificates: who is told, and who is asked.</Empty>}
    />
  );
}
