import { Anchor, Group } from "@mantine/core";
import { Link } from "react-router";
import { data, inventory } from "../api";
import type { components } from "../contracts/inventory";
import { Empty } from "../parts/Empty";
import { picked } from "../parts/Fields";
import { Form, Remove } from "../parts/Form";
import { Listing } from "../parts/Listing";
import { Page } from "../parts/Page";
import { When } from "../parts/When";
import { useMe, Who } from "../parts/Who";
import { askedFor } from "../words";

type Saved = components["schemas"]["SavedQueryView"];

const CHANGED = ["name", "query", "is_shared"];

/** Questions that are kept: one's own, and those that others share. */
export function SavedQueries() {
  return (
    <Page
      title="Saved queries"
      lead="Questions about certificates that are kept: your own, and those that others share. A name asks it."
    >
      <Listing
        label="Saved queries"
        queryKey={["saved-queries"]}
        load={(cursor) =>
          data(inventory.GET("/v1/saved-queries", { params: { query: cursor ? { cursor } : {} } }))
        }
        rowKey={(each) => each.id}
        columns={[
          {
            title: "Name",
            cell: (each) => (
              <Anchor component={Link} to={askedFor(each.query)} size="sm" className="breaks">
                {each.name}
              </Anchor>
            ),
          },
          { title: "Query", cell: (each) => <span className="mono">{each.query}</span> },
          { title: "Whose", cell: (each) => <Who id={each.owner_id} /> },
          { title: "For", cell: (each) => (each.is_shared ? "everybody" : "whose it is") },
          { title: "Changed", cell: (each) => <When at={each.updated_at} /> },
          { title: "", cell: (each) => <Changing of={each} /> },
        ]}
        empty={
          <Empty title="No query is saved">
            Ask for{" "}
            <Anchor component={Link} to="/certificates">
              certificates
            </Anchor>
            , and save the query there.
          </Empty>
        }
      />
    </Page>
  );
}

/** Whoever has made it may change it, and nobody else. */
function Changing({ of }: { of: Saved }) {
  const me = useMe();
  if (me?.id !== of.owner_id) {
    return null;
  }
  return (
    <Group gap="xs" wrap="nowrap">
      <Form
        label="Change"
        variant="default"
        service="inventory"
        method="patch"
        path="/v1/saved-queries/{query_id}"
        ids={{ query_id: of.id }}
        fields={CHANGED}
        initial={picked(of, CHANGED)}
      />
      <Remove
        what={`${of.name} is forgotten${of.is_shared ? ", also for those who use it" : ""}. What it finds stays as it is.`}
        service="inventory"
        path="/v1/saved-queries/{query_id}"
        ids={{ query_id: of.id }}
      />
    </Group>
  );
}
