import { Anchor } from "@mantine/core";
import { Link } from "react-router";
import { data, renewal } from "../../api";
import { named, useOpenGroupChoices } from "../../parts/choices";
import { Empty } from "../../parts/Empty";
import { Form } from "../../parts/Form";
import { Listing } from "../../parts/Listing";
import { When } from "../../parts/When";
import { plain } from "../../words";

export function MakeAuthority() {
  return (
    <Form
      label="New authority"
      service="renewal"
      path="/v1/authorities"
      fields={["name", "kind", "options", "secrets", "trust", "groups"]}
      kinds={{ path: "/v1/authority-kinds", parts: { options: "options", secrets: "secrets" } }}
      choices={{ groups: useOpenGroupChoices() }}
    />
  );
}

/** Who issues: under Renewal, and under Settings. */
export function Authorities() {
  const groups = useOpenGroupChoices();
  return (
    <Listing
      label="Authorities"
      actions={<MakeAuthority />}
      queryKey={["authorities"]}
      load={(cursor) => data(renewal.GET("/v1/authorities", { params: { query: cursor ? { cursor } : {} } }))}
      rowKey={(each) => each.id}
      columns={[
        {
          title: "Name",
          cell: (each) => (
            <Anchor component={Link} to={`/authorities/${each.id}`} size="sm">
              {each.name}
            </Anchor>
          ),
        },
        { title: "Kind", cell: (each) => plain(each.kind) },
        { title: "Trust", cell: (each) => each.trust },
        { title: "Groups", cell: (each) => named(each.groups, groups) || "no group" },
        { title: "Since", cell: (each) => <When at={each.created_at} /> },
      ]}
      empty={
        <Empty title="There is no authority">
          Any ACME CA, a CA of your own, Vault, AD CS, EJBCA, DigiCert, Sectigo and others.
        </Empty>
      }
    />
  );
}
