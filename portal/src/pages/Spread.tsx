import { Anchor, Stack, Tabs, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useSearchParams } from "react-router";
import { data, inventory } from "../api";
import { Card } from "../parts/Card";
import { Empty } from "../parts/Empty";
import { Listing } from "../parts/Listing";
import { Page } from "../parts/Page";
import { Reach, type Reached } from "../parts/Reach";
import { When } from "../parts/When";
import { askedFor, count, issuerOf, many, nameOf } from "../words";

const DRAWN = 8;

/** What depends on which CA, and how far shared keys and wildcards reach: the widest of each. */
function Maps() {
  const few = { params: { query: { limit: 100 } } };
  const issuers = useQuery({
    queryKey: ["issuers", "map"],
    queryFn: () => data(inventory.GET("/v1/issuers", few)),
  });
  const keys = useQuery({ queryKey: ["keys", "map"], queryFn: () => data(inventory.GET("/v1/keys", few)) });
  const wildcards = useQuery({
    queryKey: ["wildcards", "map"],
    queryFn: () => data(inventory.GET("/v1/wildcards", few)),
  });
  const cas = (issuers.data?.items ?? []).map((each) => ({
    key: each.fingerprint,
    label: each.subject ? issuerOf(each.subject) : each.fingerprint,
    to: `/issuers/${each.fingerprint}`,
    size: each.leaves.known,
    says: `${many(each.leaves.known, "certificate")}${each.leaves.outliving ? `, ${count(each.leaves.outliving)} outlive it` : ""}`,
    isBad: each.leaves.outliving > 0 || (each.urgency ?? "renew") !== "renew",
  }));
  const shared = (keys.data?.items ?? []).map((each) => ({
    key: each.fingerprint,
    label: `${each.fingerprint.slice(0, 16)}…`,
    to: askedFor(`key.fingerprint = "${each.fingerprint}"`),
    size: each.spread.places,
    says: `${many(each.spread.certificates, "certificate")} at ${many(each.spread.hosts, "host")}`,
  }));
  const wide = (wildcards.data?.items ?? []).map((each) => ({
    key: each.certificate.fingerprint,
    label: nameOf(each.certificate),
    to: `/certificates/${each.certificate.fingerprint}`,
    size: each.spread.places,
    says: `${many(each.spread.places, "place")} at ${many(each.spread.addresses, "address", "addresses")}`,
  }));
  return (
    <Stack>
      <Card title="What depends on which CA">
        <Drawn hub="CAs" of={cas} none="No issuer is known: they are read from the chains that are served." />
      </Card>
      <Card title="How far shared keys reach">
        <Drawn hub="Keys" of={shared} none="No key is shared." />
      </Card>
      <Card title="How far wildcards reach">
        <Drawn hub="Wildcards" of={wide} none="No wildcard is known." />
      </Card>
    </Stack>
  );
}

function Drawn({ hub, of, none }: { hub: string; of: Reached[]; none: string }) {
  const widest = [...of].sort((one, other) => other.size - one.size).slice(0, DRAWN);
  return widest.length ? <Reach hub={hub} of={widest} /> : <Text size="sm">{none}</Text>;
}

/** How far one key or one wildcard reaches, and what hangs on which CA. */
export function Spread() {
  const [params] = useSearchParams();
  const key = params.get("key");
  return (
    <Page
      title="Spread"
      lead="What one key or one wildcard certificate reaches, and what hangs on which issuer, the widest first."
    >
      <Tabs defaultValue={key ? "keys" : "map"} keepMounted={false}>
        <Tabs.List mb="md">
          <Tabs.Tab value="map">Map</Tabs.Tab>
          <Tabs.Tab value="keys">Shared keys</Tabs.Tab>
          <Tabs.Tab value="wildcards">Wildcards</Tabs.Tab>
          <Tabs.Tab value="places">Places</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="map">
          <Maps />
        </Tabs.Panel>
        <Tabs.Panel value="keys">
          <Listing
            label="Keys in several places"
            queryKey={["keys"]}
            load={(cursor) =>
              data(inventory.GET("/v1/keys", { params: { query: cursor ? { cursor } : {} } }))
            }
            rowKey={(each) => each.fingerprint}
            columns={[
              {
                title: "Key",
                cell: (each) => (
                  <Anchor
                    component={Link}
                    to={askedFor(`key.fingerprint = "${each.fingerprint}"`)}
                    size="sm"
                    className="mono"
                    fw={each.fingerprint === key ? 700 : 400}
                  >
                    {each.fingerprint.slice(0, 24)}…
                  </Anchor>
                ),
              },
              { title: "Certificates", cell: (each) => count(each.spread.certificates) },
              { title: "Addresses", cell: (each) => count(each.spread.addresses) },
              { title: "Hosts", cell: (each) => count(each.spread.hosts) },
              { title: "Places", cell: (each) => count(each.spread.places) },
            ]}
            empty={<Empty title="No key is shared">Each key is in one certificate and at one host.</Empty>}
          />
        </Tabs.Panel>
        <Tabs.Panel value="wildcards">
          <Listing
            label="Wildcard certificates"
            queryKey={["wildcards"]}
            load={(cursor) =>
              data(inventory.GET("/v1/wildcards", { params: { query: cursor ? { cursor } : {} } }))
            }
            rowKey={(each) => each.certificate.fingerprint}
            columns={[
              {
                title: "Certificate",
                cell: (each) => (
                  <Anchor component={Link} to={`/certificates/${each.certificate.fingerprint}`} size="sm">
                    {nameOf(each.certificate)}
                  </Anchor>
                ),
              },
              { title: "Places", cell: (each) => count(each.spread.places) },
              { title: "Addresses", cell: (each) => count(each.spread.addresses) },
            ]}
            empty={
              <Empty title="No wildcard is known">
                None of the certificates has a name that begins with *.
              </Empty>
            }
          />
        </Tabs.Panel>
        <Tabs.Panel value="places">
          <Listing
            label="Places"
            queryKey={["places"]}
            load={(cursor) =>
              data(inventory.GET("/v1/places", { params: { query: cursor ? { cursor } : {} } }))
            }
            rowKey={(each) => each.key}
            columns={[
              { title: "Place", cell: (each) => <span className="mono">{each.key}</span> },
              {
                title: "Serves",
                cell: (each) =>
                  each.fingerprint ? (
                    <Anchor
                      component={Link}
                      to={`/certificates/${each.fingerprint}`}
                      size="sm"
                      className="mono"
                    >
                      {each.fingerprint.slice(0, 16)}…
                    </Anchor>
                  ) : null,
              },
              { title: "Last seen", cell: (each) => <When at={each.last_seen} /> },
            ]}
            empty={<Empty title="No place is known">Scan a network first.</Empty>}
          />
        </Tabs.Panel>
      </Tabs>
    </Page>
  );
}
