import { data, inventory, send } from "../../api";
import { Act } from "../../parts/Act";
import { named, useGroupChoices, useTeamChoices } from "../../parts/choices";
import { Empty } from "../../parts/Empty";
import { Form } from "../../parts/Form";
import { Listing } from "../../parts/Listing";
import { State } from "../../parts/Marks";
import { Upkeep } from "../../parts/Upkeep";

const OWNING = ["name", "query", "owner", "add_groups", "add_tags", "overrides_people"];

export function MakeOwnership() {
  const choices = { owner: useTeamChoices(), add_groups: useGroupChoices() };
  return (
    <Form
      label="New rule of ownership"
      service="inventory"
      path="/v1/assignment-rules"
      fields={OWNING}
      choices={choices}
    />
  );
}

export function ApplyOwnership() {
  return (
    <Act
      label="Apply them now"
      variant="default"
      what="All rules are gone through for all certificates, also those that were there before."
      run={() => send("inventory", "post", "/v1/assignment-rules/apply", { body: {} })}
    />
  );
}

export function Ownership() {
  const choices = { owner: useTeamChoices(), add_groups: useGroupChoices() };
  return (
    <Listing
      label="Rules of ownership"
      queryKey={["assignment-rules"]}
      actions={
        <>
          <ApplyOwnership />
          <MakeOwnership />
        </>
      }
      load={() => data(inventory.GET("/v1/assignment-rules"))}
      rowKey={(each) => each.id}
      columns={[
        { title: "Rule", cell: (each) => each.name },
        { title: "What", cell: (each) => <span className="mono">{each.query}</span> },
        { title: "Owner", cell: (each) => each.owner && named([each.owner], choices.owner) },
        { title: "Groups", cell: (each) => named(each.add_groups, choices.add_groups) },
        { title: "Tags", cell: (each) => each.add_tags.join(", ") },
        { title: "State", cell: (each) => <State of={each.is_enabled ? "enabled" : "off"} /> },
        {
          title: "",
          cell: (each) => (
            <Upkeep
              of={each}
              service="inventory"
              path="/v1/assignment-rules/{rule_id}"
              ids={{ rule_id: each.id }}
              fields={[...OWNING, "is_enabled"]}
              choices={choices}
              gone={`${each.name} is followed no more; what it has assigned stays.`}
            />
          ),
        },
      ]}
      empty={
        <Empty title="Nobody owns anything by rule">
          A rule gives what it finds an owner, groups and tags, now and whenever something new is found.
        </Empty>
      }
    />
  );
}
