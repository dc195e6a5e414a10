import { Button, Menu, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { data, inventory } from "../../api";
import { Form } from "../../parts/Form";

const MOST_SHOWN = 50;

/** The saved queries, each asked by its name. */
export function SavedMenu({ ask }: { ask: (query: string) => void }) {
  const asked = useQuery({
    queryKey: ["saved-queries", "menu"],
    queryFn: () => data(inventory.GET("/v1/saved-queries", { params: { query: { limit: MOST_SHOWN } } })),
  });
  return (
    <Menu position="bottom-end" withInitialFocusPlaceholder={false}>
      <Menu.Target>
        <Button variant="default" size="xs">
          Saved queries
        </Button>
      </Menu.Target>
      <Menu.Dropdown maw={360} mah={420} className="scrolls">
        {asked.data?.items.map((each) => (
          <Menu.Item key={each.id} onClick={() => ask(each.query)}>
            <Text size="sm" className="breaks">
              {each.name}
            </Text>
          </Menu.Item>
        ))}
        {asked.data?.items.length ? <Menu.Divider /> : null}
        <Menu.Item component={Link} to="/saved-queries">
          All of them, to change or remove
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

/** Keeps the query that is shown. */
export function SaveQuery({ query }: { query: string }) {
  return (
    <Form
      label="Save this query"
      variant="default"
      service="inventory"
      path="/v1/saved-queries"
      fields={["name", "is_shared"]}
      along={{ query, sort: "expires" }}
      what={
        <>
          Kept under a name, for you or for everybody: <span className="mono">{query}</span>
        </>
      }
    />
  );
}
