import { Code, Tabs } from "@mantine/core";
import { data, inventory, notifier } from "../api";
import { Act } from "../parts/Act";
import { Empty } from "../parts/Empty";
import { Listing } from "../parts/Listing";
import { State } from "../parts/Marks";
import { Page } from "../parts/Page";
import { When } from "../parts/When";
import { plain } from "../words";

export function Settings() {
  return (
    <Page title="Settings" lead="People, teams, groups, policies and channels.">
      <Tabs defaultValue="people" keepMounted={false}>
        <Tabs.List mb="md">
          <Tabs.Tab value="people">People and machines</Tabs.Tab>
          <Tabs.Tab value="teams">Teams</Tabs.Tab>
          <Tabs.Tab value="groups">Groups</Tabs.Tab>
          <Tabs.Tab value="policies">Policies</Tabs.Tab>
          <Tabs.Tab value="channels">Channels</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="people">
          <People />
        </Tabs.Panel>
        <Tabs.Panel value="teams">
          <Teams />
        </Tabs.Panel>
        <Tabs.Panel value="groups">
          <Groups />
        </Tabs.Panel>
        <Tabs.Panel value="policies">
          <Policies />
        </Tabs.Panel>
        <Tabs.Panel value="channels">
          <Channels />
        </Tabs.Panel>
      </Tabs>
    </Page>
  );
}

function People() {
  return (
    <Listing
      label="People and machines"
      queryKey={["principals"]}
      load={(cursor) =>
        data(inventory.GET("/v1/principals", { params: { query: cursor ? { cursor } : {} } }))
      }
      rowKey={(each) => each.id}
      columns={[
        { title: "Name", cell: (each) => each.name },
        { title: "Kind", cell: (each) => each.kind },
        { title: "Roles", cell: (each) => each.roles.join(", ") },
        { title: "Groups", cell: (each) => each.groups.join(", ") || "all" },
        { title: "State", cell: (each) => <State of={each.disabled_at ? "disabled" : "enabled"} /> },
        {
          title: "",
          cell: (each) =>
            each.disabled_at ? null : (
              <Act
                label="Disable"
                color="red"
                variant="light"
                what={`${each.name} can do nothing any more; sessions and tokens end at once.`}
                run={() =>
                  data(
                    inventory.POST("/v1/principals/{principal_id}/disable", {
                      params: { path: { principal_id: each.id } },
                    }),
                  )
                }
              />
            ),
        },
      ]}
      empty={<Empty title="Nobody">There is nobody you may see.</Empty>}
    />
  );
}

function Teams() {
  return (
    <Listing
      label="Teams"
      queryKey={["teams"]}
      load={(cursor) => data(inventory.GET("/v1/teams", { params: { query: cursor ? { cursor } : {} } }))}
      rowKey={(each) => each.id}
      columns={[
        { title: "Team", cell: (each) => each.name },
        { title: "Id", cell: (each) => <Code>{each.id}</Code> },
        { title: "Contacts", cell: (each) => each.contacts.length },
      ]}
      empty={<Empty title="There is no team">Teams own certificates: who is told, and who is asked.</Empty>}
    />
  );
}

function Groups() {
  return (
    <Listing
      label="Groups"
      queryKey={["groups"]}
      load={(cursor) => data(inventory.GET("/v1/groups", { params: { query: cursor ? { cursor } : {} } }))}
      rowKey={(each) => each.id}
      columns={[
        { title: "Group", cell: (each) => each.name },
        { title: "Id", cell: (each) => <Code>{each.id}</Code> },
        { title: "Rule", cell: (each) => <span className="mono">{each.rule ?? "by hand"}</span> },
      ]}
      empty={<Empty title="There is no group">Groups say who may see and change what.</Empty>}
    />
  );
}

function Policies() {
  return (
    <Listing
      label="Policies"
      queryKey={["policies"]}
      load={(cursor) => data(inventory.GET("/v1/policies", { params: { query: cursor ? { cursor } : {} } }))}
      rowKey={(each) => each.id}
      columns={[
        { title: "Policy", cell: (each) => each.title },
        { title: "Version", cell: (each) => each.version },
        { title: "State", cell: (each) => <State of={each.is_enabled ? "enabled" : "off"} /> },
      ]}
      empty={<Empty title="There is no policy">Mozilla, NIST, BSI and CNSA come along.</Empty>}
    />
  );
}

function Channels() {
  return (
    <Listing
      label="Channels"
      queryKey={["channels"]}
      load={(cursor) => data(notifier.GET("/v1/channels", { params: { query: cursor ? { cursor } : {} } }))}
      rowKey={(each) => each.id}
      columns={[
        { title: "Channel", cell: (each) => each.name },
        { title: "Kind", cell: (each) => plain(each.kind) },
        { title: "State", cell: (each) => <State of={each.enabled ? "enabled" : "off"} /> },
        { title: "Why off", cell: (each) => each.disabled_because },
        { title: "Changed", cell: (each) => <When at={each.updated_at} /> },
        {
          title: "",
          cell: (each) => (
            <Act
              label="Send a test"
              variant="default"
              what={`A test goes through ${each.name} now.`}
              run={() =>
                data(
                  notifier.POST("/v1/channels/{channel_id}/test", {
                    params: { path: { channel_id: each.id } },
                  }),
                )
              }
            />
          ),
        },
      ]}
      empty={
        <Empty title="Nobody is told">Make a channel: mail, a webhook, SNMP, chat or a ticket system.</Empty>
      }
    />
  );
}
