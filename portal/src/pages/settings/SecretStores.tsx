import { Group } from "@mantine/core";
import { data, discovery } from "../../api";
import type { components } from "../../contracts/discovery";
import { type Choice, named, useGroupChoices } from "../../parts/choices";
import { Empty } from "../../parts/Empty";
import { Form, Remove } from "../../parts/Form";
import { Listing } from "../../parts/Listing";
import { type Check, Tried } from "../../parts/Tried";
import { When } from "../../parts/When";
import { plain } from "../../words";

type SecretStore = components["schemas"]["SecretStoreView"];

const KINDS = { path: "/v1/secret-store-kinds", parts: { settings: "settings", credential: "credential" } };
const ONE = "/v1/secret-stores/{store_id}";

/** Where credentials of sources are fetched from. Names and kinds are shown, and nothing that lies there. */
export function SecretStores() {
  const groups = useGroupChoices();
  return (
    <Listing
      label="Secret stores"
      queryKey={["secret-stores"]}
      actions={
        <Form
          label="New secret store"
          service="discovery"
          path="/v1/secret-stores"
          fields={["name", "kind", "settings", "credential", "groups"]}
          kinds={KINDS}
          choices={{ groups }}
        />
      }
      load={(cursor) =>
        data(discovery.GET("/v1/secret-stores", { params: { query: cursor ? { cursor } : {} } }))
      }
      rowKey={(each) => each.id}
      columns={[
        { title: "Store", cell: (each) => each.name },
        { title: "Kind", cell: (each) => plain(each.kind) },
        { title: "Groups", cell: (each) => named(each.groups, groups) || "no group" },
        { title: "Changed", cell: (each) => <When at={each.updated_at} /> },
        { title: "", cell: (each) => <Keeping of={each} groups={groups} /> },
      ]}
      empty={
        <Empty title="Credentials are kept here">
          They are sealed. A source can also fetch its credential from Vault, OpenBao or AWS Secrets Manager
          each time, so that a rotation there needs nothing here.
        </Empty>
      }
    />
  );
}

function Keeping({ of, groups }: { of: SecretStore; groups: Choice[] }) {
  const ids = { store_id: of.id };
  return (
    <Group gap="xs" wrap="nowrap">
      <Form
        label="Try it out"
        variant="default"
        service="discovery"
        path={`${ONE}/check`}
        ids={ids}
        what={`${of.name} is logged into, and what sources fetch there is tried. Nothing of it is shown or kept.`}
        shown={(tried) => <Tried checks={tried.checks as Check[]} />}
      />
      <Form
        label="New credential"
        variant="default"
        service="discovery"
        method="put"
        path={`${ONE}/credential`}
        ids={ids}
        fields={["credential"]}
        kinds={KINDS}
        kind={of.kind}
        what={`It takes the place of the one that ${of.name} is logged into with now.`}
      />
      <Form
        label="Groups"
        variant="default"
        service="discovery"
        method="put"
        path={`${ONE}/groups`}
        ids={ids}
        initial={{ groups: of.groups }}
        choices={{ groups }}
      />
      <Remove
        what={`${of.name} is known no more; what lies there stays. No source may refer to it.`}
        service="discovery"
        path={ONE}
        ids={ids}
      />
    </Group>
  );
}
