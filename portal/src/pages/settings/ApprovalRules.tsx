import { Anchor, Stack, Text } from "@mantine/core";
import { Link } from "react-router";
import { data, provisioner } from "../../api";
import { named, useGroupChoices } from "../../parts/choices";
import { Empty } from "../../parts/Empty";
import { Form } from "../../parts/Form";
import { Listing } from "../../parts/Listing";
import { useScopes } from "../../parts/scopes";
import { Upkeep } from "../../parts/Upkeep";
import { many } from "../../words";

/** Those whose word can count, as the contract of what they decide on has it. */
const DECIDING = ["approver", "admin"].map((role) => ({ value: role, label: role }));
const AGREEING = ["name", "approvals_needed", "approver_groups", "approver_roles"];

/** Who must agree before something is put in place. On orders the profile decides, on rollouts their policy. */
export function ApprovalRules() {
  const scopes = useScopes();
  const groups = useGroupChoices();
  const choices = { ...scopes.choices, approver_groups: groups, approver_roles: DECIDING };
  return (
    <Stack>
      <Text size="sm" data-sentence maw={760}>
        What is put in place on these targets waits until enough people have agreed, none of whom has asked
        for it. How many have to agree to an order is said by its{" "}
        <Anchor component={Link} to="/renewal?section=profiles" size="sm">
          profile
        </Anchor>
        , and to a rollout by its{" "}
        <Anchor component={Link} to="/provisioning?section=rollouts" size="sm">
          policy
        </Anchor>
        .
      </Text>
      <Listing
        label="Rules of who must agree"
        queryKey={["approval-rules"]}
        actions={
          <Form
            label="New rule of who must agree"
            service="provisioner"
            path="/v1/approval-rules"
            choices={choices}
          />
        }
        load={(cursor) =>
          data(provisioner.GET("/v1/approval-rules", { params: { query: cursor ? { cursor } : {} } }))
        }
        rowKey={(each) => each.id}
        columns={[
          { title: "Rule", cell: (each) => each.name },
          { title: "Of", cell: scopes.nameOf },
          { title: "Must agree", cell: (each) => many(each.approvals_needed, "person", "people") },
          { title: "In", cell: (each) => named(each.approver_groups, groups) || "any group" },
          { title: "As", cell: (each) => each.approver_roles.join(" or ") || "whoever may approve" },
          {
            title: "",
            cell: (each) => (
              <Upkeep
                of={each}
                service="provisioner"
                path="/v1/approval-rules/{rule_id}"
                ids={{ rule_id: each.id }}
                fields={AGREEING}
                choices={choices}
                gone={`${each.name} asks nobody any more, and what waits because of it goes on.`}
              />
            ),
          },
        ]}
        empty={
          <Empty title="Nobody has to agree">
            A rule has so many people of some groups agree before a target is changed.
          </Empty>
        }
      />
    </Stack>
  );
}
