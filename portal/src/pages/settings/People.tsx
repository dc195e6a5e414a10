import { Anchor, Group } from "@mantine/core";
import { Link } from "react-router";
import { data, inventory, send } from "../../api";
import type { components } from "../../contracts/inventory";
import { Act } from "../../parts/Act";
import { type Choice, named, useGroupChoices } from "../../parts/choices";
import { Empty } from "../../parts/Empty";
import { picked } from "../../parts/Fields";
import { Form } from "../../parts/Form";
import { Listing } from "../../parts/Listing";
import { State } from "../../parts/Marks";
import { Once } from "../../parts/Once";

type Principal = components["schemas"]["PrincipalView"];
type Choices = Record<string, Choice[]>;

const ROLES = ["viewer", "operator", "approver", "auditor", "admin"].map((role) => ({
  value: role,
  label: role,
}));
const ONE = "/v1/principals/{principal_id}";

export function People() {
  const groups = useGroupChoices();
  const choices = { roles: ROLES, groups };
  return (
    <Listing
      label="People and machines"
      queryKey={["principals"]}
      actions={
        <Form
          label="New person or machine"
          service="inventory"
          path="/v1/principals"
          fields={["name", "kind", "roles", "groups", "permissions"]}
          choices={choices}
        />
      }
      load={(cursor) =>
        data(inventory.GET("/v1/principals", { params: { query: cursor ? { cursor } : {} } }))
      }
      rowKey={(each) => each.id}
      columns={[
        {
          title: "Name",
          cell: (each) => (
            <Anchor component={Link} to={`/people/${each.id}`} size="sm">
              {each.name}
            </Anchor>
          ),
        },
        { title: "Kind", cell: (each) => each.kind },
        { title: "Roles", cell: (each) => each.roles.join(", ") },
        { title: "Groups", cell: (each) => named(each.groups, groups) || "all" },
        { title: "State", cell: (each) => <State of={each.disabled_at ? "disabled" : "enabled"} /> },
        { title: "", cell: (each) => <Steering of={each} choices={choices} /> },
      ]}
      empty={<Empty title="Nobody">There is nobody you may see.</Empty>}
    />
  );
}

/** What an administrator does with somebody. A service of the platform has neither rights nor keys to be given. */
function Steering({ of, choices }: { of: Principal; choices: Choices }) {
  const ids = { principal_id: of.id };
  const isService = of.kind === "service";
  return (
    <Group gap="xs" wrap="nowrap">
      {of.is_from_provider || isService ? null : (
        <Form
          label="Rights"
          variant="default"
          service="inventory"
          method="put"
          path={`${ONE}/rights`}
          ids={ids}
          what={`What ${of.name} may do from now on; tokens from before are refused.`}
          initial={picked(of, ["roles", "permissions", "groups"])}
          version={of.version}
          choices={choices}
        />
      )}
      {isService ? null : (
        <Form
          label="New API key"
          variant="default"
          service="inventory"
          path={`${ONE}/api-keys`}
          ids={ids}
          shown={(made) => <Once of={{ Key: String(made.key) }} />}
        />
      )}
      {of.disabled_at ? (
        <Act
          label="Enable"
          variant="default"
          what={`${of.name} may do again what its roles grant.`}
          run={() => send("inventory", "post", `${ONE}/enable`, { ids })}
        />
      ) : (
        <Act
          label="Disable"
          color="red"
          variant="light"
          what={`${of.name} can do nothing any more; sessions and tokens end at once.`}
          run={() => send("inventory", "post", `${ONE}/disable`, { ids })}
        />
      )}
    </Group>
  );
}
