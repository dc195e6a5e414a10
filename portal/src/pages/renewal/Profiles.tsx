import { Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { data, renewal } from "../../api";
import type { components } from "../../contracts/renewal";
import { named, useGroupChoices, useOpenGroupChoices } from "../../parts/choices";
import { Empty } from "../../parts/Empty";
import { Form } from "../../parts/Form";
import { Listing } from "../../parts/Listing";
import { Upkeep } from "../../parts/Upkeep";
import { dayOf } from "../../parts/When";
import { lasting, many, shortly } from "../../words";

type Profile = components["schemas"]["ProfileView"];

/** On which terms is ordered, the first that everybody thinks of first. */
const TERMS = [
  "name",
  "authority",
  "fallback_authority",
  "allowed_names",
  "key_type",
  "lifetime",
  "challenge",
  "authority_profile",
  "renew_before",
  "renew_fraction",
  "renew_noncompliant",
  "key_custody",
  "reuse_key",
  "reuse_key_reason",
  "approvals_needed",
  "approver_groups",
  "approver_roles",
  "revoke_replaced",
];

function useTermChoices() {
  const asked = useQuery({
    queryKey: ["authorities", "choices"],
    queryFn: () => data(renewal.GET("/v1/authorities", { params: { query: { limit: 1000 } } })),
  });
  const authorities = asked.data?.items.map((each) => ({ value: each.name, label: each.name })) ?? [];
  return {
    authority: authorities,
    fallback_authority: authorities,
    approver_groups: useGroupChoices(),
    groups: useOpenGroupChoices(),
  };
}

export function MakeProfile() {
  return (
    <Form
      label="New profile"
      service="renewal"
      path="/v1/profiles"
      fields={[...TERMS, "groups"]}
      choices={useTermChoices()}
    />
  );
}

export function Profiles() {
  const choices = useTermChoices();
  return (
    <Listing
      label="Profiles"
      actions={<MakeProfile />}
      queryKey={["profiles"]}
      load={(cursor) => data(renewal.GET("/v1/profiles", { params: { query: cursor ? { cursor } : {} } }))}
      rowKey={(each) => each.id}
      columns={[
        { title: "Name", cell: (each) => each.name },
        {
          title: "Authority",
          cell: ({ authority, fallback_authority: other }) =>
            other ? `${authority}, else ${other}` : authority,
        },
        {
          title: "Names allowed",
          cell: (each) => <span title={each.allowed_names.join(", ")}>{shortly(each.allowed_names)}</span>,
        },
        {
          title: "Key",
          cell: (each) => (
            <>
              <span className="nowrap">{each.key_type}</span>, {each.key_custody}
            </>
          ),
        },
        { title: "Lifetime", cell: (each) => <Lifetime of={each} /> },
        {
          title: "Must agree",
          cell: (each) =>
            each.approvals_needed ? many(each.approvals_needed, "person", "people") : "nobody",
        },
        { title: "Groups", cell: (each) => named(each.groups, choices.groups) || "no group" },
        {
          title: "",
          cell: (each) => {
            const one = { service: "renewal", ids: { profile_id: each.id }, choices } as const;
            return (
              <Upkeep
                {...one}
                of={each}
                method="put"
                path="/v1/profiles/{profile_id}"
                fields={TERMS}
                gone={`${each.name} is no more. Nothing may have been ordered by it: what was, keeps it as its record.`}
              >
                <Form
                  {...one}
                  label="Groups"
                  variant="default"
                  method="put"
                  path="/v1/profiles/{profile_id}/groups"
                  initial={{ groups: each.groups }}
                />
              </Upkeep>
            );
          },
        },
      ]}
      empty={
        <Empty title="There is no profile">
          A profile says which names, which key, for how long and by which authority.
        </Empty>
      }
    />
  );
}

/** How long it lasts, and from when on that is too long for whom browsers trust. */
function Lifetime({ of }: { of: Profile }) {
  const exceeded = of.trust === "public" ? of.exceeds : [];
  return (
    <Stack gap={0}>
      {lasting(of.lifetime)}
      {exceeded.map((ceiling) => (
        <Text key={ceiling.begins} size="sm" c="red">
          at most {lasting(ceiling.longest)} from {dayOf(ceiling.begins)}
        </Text>
      ))}
    </Stack>
  );
}
