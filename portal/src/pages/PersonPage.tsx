import { Stack } from "@mantine/core";
import { useParams } from "react-router";
import { data, inventory } from "../api";
import { Card } from "../parts/Card";
import { named, useGroupChoices } from "../parts/choices";
import { Detail } from "../parts/Detail";
import { Empty } from "../parts/Empty";
import { Facts } from "../parts/Facts";
import { Remove } from "../parts/Form";
import { Listing } from "../parts/Listing";
import { State } from "../parts/Marks";
import { Page } from "../parts/Page";
import { When } from "../parts/When";
import { Who } from "../parts/Who";

/** Somebody or something that asks: what it may do, and the API keys it has. */
export function PersonPage() {
  const path = { principal_id: useParams().id ?? "" };
  const groups = useGroupChoices();
  const load = () => data(inventory.GET("/v1/principals/{principal_id}", { params: { path } }));
  return (
    <Detail title="Person or machine" queryKey={["principals", path.principal_id]} load={load}>
      {(known) => (
        <Page title={known.name} lead={<State of={known.disabled_at ? "disabled" : "enabled"} />}>
          <Stack>
            <Card title="What it may do">
              <Facts
                of={{
                  Kind: known.kind,
                  Roles: known.roles.join(", "),
                  Permissions: known.permissions.join(", "),
                  Groups: named(known.groups, groups) || "all",
                  "Signs in": known.is_from_provider ? "with the organisation’s account" : "with a key",
                  "Made by": <Who id={known.created_by} />,
                  Made: <When at={known.created_at} />,
                }}
              />
            </Card>
            <Listing
              label="API keys"
              queryKey={["principals", path.principal_id, "keys"]}
              load={async () => ({ items: (await load()).api_keys })}
              rowKey={(each) => each.id}
              columns={[
                { title: "Key", cell: (each) => <span className="mono">{each.id}</span> },
                { title: "Made", cell: (each) => <When at={each.created_at} /> },
                { title: "By", cell: (each) => <Who id={each.created_by} /> },
                { title: "Used", cell: (each) => <When at={each.last_used_at} /> },
                { title: "Ends", cell: (each) => <When at={each.expires_at} /> },
                {
                  title: "",
                  cell: (each) =>
                    each.revoked_at ? (
                      <State of="revoked" />
                    ) : (
                      <Remove
                        label="Revoke"
                        what={`The key is worth nothing any more, and the sessions and tokens of ${known.name} end at once.`}
                        service="inventory"
                        path="/v1/api-keys/{key_id}"
                        ids={{ key_id: each.id }}
                      />
                    ),
                },
              ]}
              empty={<Empty title="There is no key">A key is made under Settings, and shown once.</Empty>}
            />
          </Stack>
        </Page>
      )}
    </Detail>
  );
}
