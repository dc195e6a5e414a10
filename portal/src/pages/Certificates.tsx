import { Anchor, Button, Grid, Group, Menu, Pill, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Fragment, useState } from "react";
import { Link, useSearchParams } from "react-router";
import { data, inventory } from "../api";
import type { components } from "../contracts/inventory";
import { Empty } from "../parts/Empty";
import { type Column, Listing } from "../parts/Listing";
import { Nobody, Standing } from "../parts/Marks";
import { Page } from "../parts/Page";
import { QueryBox } from "../parts/QueryBox";
import { TellMe } from "../parts/TellMe";
import { When } from "../parts/When";
import { askedFor, issuerOf, keyOf, many, nameOf } from "../words";
import { Bulk } from "./certificates/Bulk";
import { Export } from "./certificates/Export";
import { Facets } from "./certificates/Facets";
import { SavedMenu, SaveQuery } from "./certificates/Saved";

type Certificate = components["schemas"]["CertificateView"];

const COLUMNS: Record<string, Column<Certificate>> = {
  name: {
    title: "Name",
    cell: (each) => (
      <Anchor
        component={Link}
        to={`/certificates/${each.fingerprint}`}
        size="sm"
        display="block"
        miw={160}
        className="breaks"
      >
        <Breakable name={nameOf(each)} />
        {each.names.length > 1 ? (
          <Text span c="dimmed" size="sm">
            {" "}
            and {each.names.length - 1} more
          </Text>
        ) : null}
      </Anchor>
    ),
  },
  expires: { title: "Ends", cell: (each) => <When at={each.not_after} /> },
  urgency: { title: "State", cell: (each) => <Standing of={each} /> },
  issuer: { title: "Issuer", cell: (each) => <Issuer name={each.issuer} /> },
  key: {
    title: "Key",
    cell: (each) => <Text size="sm">{keyOf(each)}</Text>,
  },
  owner: {
    title: "Owner",
    cell: (each) =>
      each.owner ? (
        <Text size="sm" miw={90} className="breaks">
          {each.owner.name}
        </Text>
      ) : (
        <Nobody />
      ),
  },
  tags: { title: "Tags", cell: (each) => <Text size="sm">{each.tags.join(", ")}</Text> },
  first: { title: "Known since", cell: (each) => <When at={each.first_known_at} /> },
};
const SHOWN_AT_FIRST = ["name", "expires", "urgency", "issuer", "key", "owner"];

/** What is shown where nothing is asked: what ended or was replaced long ago would come first otherwise. */
const CURRENT = "current and expires > now";
const ENDED = "current and expires <= now";

/** A name that breaks after its dots, where it must. */
function Breakable({ name }: { name: string }) {
  const labels = name.split(/(?<=\.)/);
  return labels.map((label, at) => (
    <Fragment key={labels.slice(at).join("")}>
      {label}
      <wbr />
    </Fragment>
  ));
}

function Issuer({ name }: { name: string | null }) {
  return name ? (
    <Text size="sm" miw={100} className="breaks" title={name}>
      {issuerOf(name)}
    </Text>
  ) : null;
}

export function Certificates() {
  const [params, setParams] = useSearchParams();
  // An empty question finds all there is; none at all finds what is current.
  const question = params.get("query");
  const query = question ?? CURRENT;
  const [columns, setColumns] = useState(SHOWN_AT_FIRST);
  const [chosen, setChosen] = useState<string[]>([]);
  const ask = (text: string) => setParams({ query: text });
  const asked = query ? { query } : {};
  const number = useQuery({
    queryKey: ["certificates", "count", query],
    queryFn: () => data(inventory.GET("/v1/certificates/count", { params: { query: asked } })),
  });
  return (
    <Page
      title="Certificates"
      lead={number.data ? many(number.data.count, "certificate") : undefined}
      actions={
        <>
          <SavedMenu ask={ask} />
          {question && !number.error ? (
            <>
              <SaveQuery query={question} />
              <TellMe query={question} />
            </>
          ) : null}
          {number.data ? <Export query={query} all={number.data.count} /> : null}
          <ColumnMenu chosen={columns} choose={setColumns} />
        </>
      }
    >
      <Stack>
        <QueryBox value={question ?? ""} onAsk={ask} refusal={number.error} />
        {question ? null : <Narrowed isNarrowed={question === null} ask={ask} />}
        <Grid>
          <Grid.Col span={{ base: 12, lg: 9 }} order={{ base: 2, lg: 1 }}>
            {number.error ? null : (
              <Listing
                label="Certificates"
                chosen={{ keys: chosen, choose: setChosen }}
                actions={
                  <Bulk
                    query={question ?? ""}
                    all={number.data?.count ?? 0}
                    chosen={chosen}
                    done={() => setChosen([])}
                  />
                }
                queryKey={["certificates", query]}
                load={(cursor) =>
                  data(
                    inventory.GET("/v1/certificates", {
                      params: { query: { ...asked, sort: "expires", ...(cursor ? { cursor } : {}) } },
                    }),
                  )
                }
                columns={columns.flatMap((name) => COLUMNS[name] ?? [])}
                rowKey={(each) => each.fingerprint}
                empty={
                  <Empty title="Nothing is found">
                    {question ? (
                      "No certificate answers this question."
                    ) : (
                      <>
                        {question === null ? "Nothing current is known yet:" : "Nothing is known yet:"}{" "}
                        <Anchor component={Link} to="/discovery">
                          scan a network
                        </Anchor>
                        .
                      </>
                    )}
                  </Empty>
                }
              />
            )}
          </Grid.Col>
          <Grid.Col span={{ base: 12, lg: 3 }} order={{ base: 1, lg: 2 }}>
            {number.error ? null : <Facets query={query} ask={ask} />}
          </Grid.Col>
        </Grid>
      </Stack>
    </Page>
  );
}

/** Says what is left out where nothing is asked, and lets it in. */
function Narrowed({ isNarrowed, ask }: { isNarrowed: boolean; ask: (query: string) => void }) {
  return (
    <Group gap="sm">
      {isNarrowed ? (
        <Pill
          bd="1px solid var(--mantine-color-default-border)"
          withRemoveButton
          onRemove={() => ask("")}
          removeButtonProps={{
            "aria-label": "Show all, also what has ended or was replaced",
            // By itself it is for the mouse alone.
            "aria-hidden": false,
            tabIndex: 0,
          }}
        >
          Current: in use, not replaced, not ended
        </Pill>
      ) : (
        <Anchor component={Link} to="/certificates" size="sm">
          Only what is current
        </Anchor>
      )}
      <Anchor component={Link} to={askedFor(ENDED)} size="sm">
        Ended, and still in use
      </Anchor>
    </Group>
  );
}

function ColumnMenu({ chosen, choose }: { chosen: string[]; choose: (names: string[]) => void }) {
  const toggled = (name: string) =>
    Object.keys(COLUMNS).filter((each) => (each === name) !== chosen.includes(each));
  return (
    <Menu withInitialFocusPlaceholder={false}>
      <Menu.Target>
        <Button variant="default" size="xs">
          Columns
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        {Object.entries(COLUMNS).map(([name, column]) => (
          <Menu.CheckboxItem
            key={name}
            checked={chosen.includes(name)}
            onChange={() => choose(toggled(name))}
          >
            {column.title}
          </Menu.CheckboxItem>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}
