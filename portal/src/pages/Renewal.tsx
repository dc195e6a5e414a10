import { Anchor, Stack, Tabs, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { data, renewal } from "../api";
import { Empty } from "../parts/Empty";
import { Form } from "../parts/Form";
import { Listing } from "../parts/Listing";
import { State } from "../parts/Marks";
import { Page } from "../parts/Page";
import { When } from "../parts/When";
import { Who } from "../parts/Who";
import { lasting, plain, REASON, shortly } from "../words";

export function Renewal() {
  return (
    <Page
      title="Renewal"
      lead="When each lineage is renewed and why then, and what has become of every order."
    >
      <Tabs defaultValue="schedule" keepMounted={false}>
        <Tabs.List mb="md">
          <Tabs.Tab value="schedule">Schedule</Tabs.Tab>
          <Tabs.Tab value="orders">Orders</Tabs.Tab>
          <Tabs.Tab value="profiles">Profiles</Tabs.Tab>
          <Tabs.Tab value="authorities">Authorities</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="schedule">
          <Schedule />
        </Tabs.Panel>
        <Tabs.Panel value="orders">
          <Orders />
        </Tabs.Panel>
        <Tabs.Panel value="profiles">
          <Profiles />
        </Tabs.Panel>
        <Tabs.Panel value="authorities">
          <Authorities />
        </Tabs.Panel>
      </Tabs>
    </Page>
  );
}

function names(of: string[] | null | undefined): string {
  return shortly(of ?? []) || "not known yet";
}

function Schedule() {
  return (
    <Listing
      label="Renewals to come"
      queryKey={["schedules"]}
      load={(cursor) => data(renewal.GET("/v1/schedules", { params: { query: cursor ? { cursor } : {} } }))}
      rowKey={(each) => each.lineage_id}
      columns={[
        {
          title: "Lineage",
          cell: (each) =>
            each.fingerprint ? (
              <Anchor component={Link} to={`/certificates/${each.fingerprint}`} size="sm">
                {names(each.names)}
              </Anchor>
            ) : (
              names(each.names)
            ),
        },
        { title: "Renewed", cell: (each) => <When at={each.renew_at} none="not known yet" /> },
        {
          title: "Because",
          cell: (each) => (
            <Text size="sm" title={each.because ?? undefined}>
              {REASON[each.reason] ?? plain(each.reason)}
            </Text>
          ),
        },
        { title: "Ends", cell: (each) => <When at={each.not_after} none="not known yet" /> },
        { title: "Issuer", cell: (each) => each.issuer },
      ]}
      empty={
        <Empty title="Nothing is renewed by itself yet">
          Open a{" "}
          <Anchor component={Link} to="/certificates">
            certificate
          </Anchor>{" "}
          and have it renewed by itself.
        </Empty>
      }
    />
  );
}

function Orders() {
  return (
    <Listing
      label="Orders"
      queryKey={["orders"]}
      every={3_000}
      load={(cursor) => data(renewal.GET("/v1/orders", { params: { query: cursor ? { cursor } : {} } }))}
      rowKey={(each) => each.id}
      columns={[
        {
          title: "Names",
          cell: (each) => (
            <Anchor component={Link} to={`/orders/${each.id}`} size="sm">
              {names(each.names)}
            </Anchor>
          ),
        },
        { title: "Authority", cell: (each) => each.authority },
        { title: "State", cell: (each) => <State of={each.state} /> },
        { title: "Held by", cell: (each) => each.held_by },
        { title: "Ordered", cell: (each) => <When at={each.created_at} /> },
        { title: "By", cell: (each) => <Who id={each.created_by} /> },
        { title: "Seen in place", cell: (each) => <When at={each.observed_at} none="not yet" /> },
      ]}
      empty={
        <Empty title="Nothing was ordered yet">Orders are made when a lineage is due, or by hand.</Empty>
      }
    />
  );
}

function Profiles() {
  return (
    <Listing
      label="Profiles"
      actions={<MakeProfile />}
      queryKey={["profiles"]}
      load={(cursor) => data(renewal.GET("/v1/profiles", { params: { query: cursor ? { cursor } : {} } }))}
      rowKey={(each) => each.id}
      columns={[
        { title: "Name", cell: (each) => each.name },
        { title: "Authority", cell: (each) => each.authority },
        { title: "Names allowed", cell: (each) => each.allowed_names.join(", ") },
        { title: "Key", cell: (each) => `${each.key_type}, ${each.key_custody}` },
        { title: "Lifetime", cell: (each) => lasting(each.lifetime) },
        { title: "Approvals", cell: (each) => each.approvals_needed || "none" },
        {
          title: "Breaks",
          cell: (each) => (
            <Stack gap={0}>
              {each.exceeds.map((ceiling) => (
                <Text key={ceiling.begins} size="sm" c="red">
                  at most {lasting(ceiling.longest)} from <When at={ceiling.begins} />
                </Text>
              ))}
            </Stack>
          ),
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

export function MakeAuthority() {
  return (
    <Form
      label="New authority"
      service="renewal"
      path="/v1/authorities"
      fields={["name", "kind", "options", "secrets", "trust", "groups"]}
      kinds={{ path: "/v1/authority-kinds", parts: { options: "options", secrets: "secrets" } }}
    />
  );
}

export function MakeProfile() {
  const authorities = useQuery({
    queryKey: ["authorities", "choices"],
    queryFn: () => data(renewal.GET("/v1/authorities", { params: { query: { limit: 1000 } } })),
  });
  const choices = authorities.data?.items.map((each) => ({ value: each.name, label: each.name })) ?? [];
  return (
    <Form
      label="New profile"
      service="renewal"
      path="/v1/profiles"
      fields={[
        "name",
        "authority",
        "allowed_names",
        "key_type",
        "lifetime",
        "challenge",
        "renew_before",
        "key_custody",
        "approvals_needed",
        "approver_groups",
        "groups",
      ]}
      choices={{ authority: choices }}
    />
  );
}

/** Who issues: here, and under Settings. */
export function Authorities() {
  return (
    <Listing
      label="Authorities"
      actions={<MakeAuthority />}
      queryKey={["authorities"]}
      load={(cursor) => data(renewal.GET("/v1/authorities", { params: { query: cursor ? { cursor } : {} } }))}
      rowKey={(each) => each.id}
      columns={[
        { title: "Name", cell: (each) => each.name },
        { title: "Kind", cell: (each) => plain(each.kind) },
        { title: "Trust", cell: (each) => each.trust },
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
