import { Alert, Anchor, Code, Group, Stack, Tabs } from "@mantine/core";
import { Link } from "react-router";
import { data, inventory, notifier, send } from "../api";
import { Act } from "../parts/Act";
import { named, useChannelChoices, useGroupChoices, useTeamChoices } from "../parts/choices";
import { Empty } from "../parts/Empty";
import { picked } from "../parts/Fields";
import { Form, Remove } from "../parts/Form";
import { Listing } from "../parts/Listing";
import { State } from "../parts/Marks";
import { Page } from "../parts/Page";
import { When } from "../parts/When";
import { count, many, plain } from "../words";
import { Authorities } from "./Renewal";

export function Settings() {
  return (
    <Page
      title="Settings"
      lead="People, teams, groups, policies, authorities, channels, and who is told what."
    >
      <Tabs defaultValue="people" keepMounted={false}>
        <Tabs.List mb="md">
          <Tabs.Tab value="people">People and machines</Tabs.Tab>
          <Tabs.Tab value="teams">Teams</Tabs.Tab>
          <Tabs.Tab value="ownership">Who owns what</Tabs.Tab>
          <Tabs.Tab value="groups">Groups</Tabs.Tab>
          <Tabs.Tab value="policies">Policies</Tabs.Tab>
          <Tabs.Tab value="authorities">Authorities</Tabs.Tab>
          <Tabs.Tab value="channels">Channels</Tabs.Tab>
          <Tabs.Tab value="rules">Who is told</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="people">
          <People />
        </Tabs.Panel>
        <Tabs.Panel value="teams">
          <Teams />
        </Tabs.Panel>
        <Tabs.Panel value="ownership">
          <Ownership />
        </Tabs.Panel>
        <Tabs.Panel value="groups">
          <Groups />
        </Tabs.Panel>
        <Tabs.Panel value="policies">
          <Policies />
        </Tabs.Panel>
        <Tabs.Panel value="authorities">
          <Authorities />
        </Tabs.Panel>
        <Tabs.Panel value="channels">
          <Channels />
        </Tabs.Panel>
        <Tabs.Panel value="rules">
          <Rules />
        </Tabs.Panel>
      </Tabs>
    </Page>
  );
}

const ROLES = ["viewer", "operator", "approver", "auditor", "admin"].map((role) => ({
  value: role,
  label: role,
}));

function People() {
  const choices = { roles: ROLES, groups: useGroupChoices() };
  return (
    <Listing
      label="People and machines"
      queryKey={["principals"]}
      actions={
        <Form
          label="New person or machine"
          service="inventory"
          path="/v1/principals"
          fields={["name", "kind", "roles", "groups", "permissions"]}
          choices={choices}
        />
      }
      load={(cursor) =>
        data(inventory.GET("/v1/principals", { params: { query: cursor ? { cursor } : {} } }))
      }
      rowKey={(each) => each.id}
      columns={[
        {
          title: "Name",
          cell: (each) => (
            <Anchor component={Link} to={`/people/${each.id}`} size="sm">
              {each.name}
            </Anchor>
          ),
        },
        { title: "Kind", cell: (each) => each.kind },
        { title: "Roles", cell: (each) => each.roles.join(", ") },
        { title: "Groups", cell: (each) => named(each.groups, choices.groups) || "all" },
        { title: "State", cell: (each) => <State of={each.disabled_at ? "disabled" : "enabled"} /> },
        {
          title: "",
          cell: (each) => {
            const ids = { principal_id: each.id };
            const one = "/v1/principals/{principal_id}";
            return (
              <Group gap="xs" wrap="nowrap">
                {each.is_from_provider || each.kind === "service" ? null : (
                  <Form
                    label="Rights"
                    variant="default"
                    service="inventory"
                    method="put"
                    path={`${one}/rights`}
                    ids={ids}
                    what={`What ${each.name} may do from now on; tokens from before are refused.`}
                    initial={{ roles: each.roles, permissions: each.permissions, groups: each.groups }}
                    choices={choices}
                  />
                )}
                {each.kind === "service" ? null : (
                  <Form
                    label="New API key"
                    variant="default"
                    service="inventory"
                    path={`${one}/api-keys`}
                    ids={ids}
                    shown={(made) => (
                      <Alert color="teal" title="Shown this once">
                        <Code block>{String(made.key)}</Code>
                        Keep it where secrets are kept: nobody can show it again.
                      </Alert>
                    )}
                  />
                )}
                {each.disabled_at ? (
                  <Act
                    label="Enable"
                    variant="default"
                    what={`${each.name} may do again what its roles grant.`}
                    run={() => send("inventory", "post", `${one}/enable`, { ids })}
                  />
                ) : (
                  <Act
                    label="Disable"
                    color="red"
                    variant="light"
                    what={`${each.name} can do nothing any more; sessions and tokens end at once.`}
                    run={() => send("inventory", "post", `${one}/disable`, { ids })}
                  />
                )}
              </Group>
            );
          },
        },
      ]}
      empty={<Empty title="Nobody">There is nobody you may see.</Empty>}
    />
  );
}

export function MakeTeam() {
  return <Form label="New team" service="inventory" path="/v1/teams" fields={["name", "contacts"]} />;
}

function Teams() {
  return (
    <Listing
      label="Teams"
      queryKey={["teams"]}
      actions={<MakeTeam />}
      load={(cursor) => data(inventory.GET("/v1/teams", { params: { query: cursor ? { cursor } : {} } }))}
      rowKey={(each) => each.id}
      columns={[
        { title: "Team", cell: (each) => each.name },
        { title: "Id", cell: (each) => <Code>{each.id}</Code> },
        { title: "Contacts", cell: (each) => each.contacts.map((contact) => contact.value).join(", ") },
        {
          title: "",
          cell: (each) => (
            <Group gap="xs" wrap="nowrap">
              <Form
                label="Change"
                variant="default"
                service="inventory"
                method="patch"
                path="/v1/teams/{team_id}"
                ids={{ team_id: each.id }}
                fields={["name", "contacts"]}
                initial={{ name: each.name, contacts: each.contacts }}
              />
              <Remove
                what={`${each.name} is no more. It must own nothing.`}
                service="inventory"
                path="/v1/teams/{team_id}"
                ids={{ team_id: each.id }}
              />
            </Group>
          ),
        },
      ]}
      empty={<Empty title="There is no team">Teams own certificates: who is told, and who is asked.</Empty>}
    />
  );
}

const OWNING = ["name", "query", "owner", "add_groups", "add_tags", "overrides_people"];

export function MakeOwnership() {
  const choices = { owner: useTeamChoices(), add_groups: useGroupChoices() };
  return (
    <Form
      label="New rule of ownership"
      service="inventory"
      path="/v1/assignment-rules"
      fields={OWNING}
      choices={choices}
    />
  );
}

export function ApplyOwnership() {
  return (
    <Act
      label="Apply them now"
      variant="default"
      what="All rules are gone through for all certificates, also those that were there before."
      run={() => send("inventory", "post", "/v1/assignment-rules/apply", { body: {} })}
    />
  );
}

function Ownership() {
  const choices = { owner: useTeamChoices(), add_groups: useGroupChoices() };
  return (
    <Stack>
      <Listing
        label="Rules of ownership"
        queryKey={["assignment-rules"]}
        actions={
          <>
            <ApplyOwnership />
            <MakeOwnership />
          </>
        }
        load={() => data(inventory.GET("/v1/assignment-rules"))}
        rowKey={(each) => each.id}
        columns={[
          { title: "Rule", cell: (each) => each.name },
          { title: "What", cell: (each) => <span className="mono">{each.query}</span> },
          { title: "Owner", cell: (each) => each.owner && named([each.owner], choices.owner) },
          { title: "Groups", cell: (each) => named(each.add_groups, choices.add_groups) },
          { title: "Tags", cell: (each) => each.add_tags.join(", ") },
          { title: "State", cell: (each) => <State of={each.is_enabled ? "enabled" : "off"} /> },
          {
            title: "",
            cell: (each) => (
              <Group gap="xs" wrap="nowrap">
                <Form
                  label="Change"
                  variant="default"
                  service="inventory"
                  method="patch"
                  path="/v1/assignment-rules/{rule_id}"
                  ids={{ rule_id: each.id }}
                  fields={[...OWNING, "is_enabled"]}
                  initial={picked(each, [...OWNING, "is_enabled"])}
                  choices={choices}
                />
                <Remove
                  what={`${each.name} is followed no more; what it has assigned stays.`}
                  service="inventory"
                  path="/v1/assignment-rules/{rule_id}"
                  ids={{ rule_id: each.id }}
                />
              </Group>
            ),
          },
        ]}
        empty={
          <Empty title="Nobody owns anything by rule">
            A rule gives what it finds an owner, groups and tags, now and whenever something new is found.
          </Empty>
        }
      />
    </Stack>
  );
}

function Groups() {
  return (
    <Listing
      label="Groups"
      queryKey={["groups"]}
      actions={
        <Form
          label="New group"
          service="inventory"
          path="/v1/groups"
          fields={["name", "description", "rule"]}
        />
      }
      load={(cursor) => data(inventory.GET("/v1/groups", { params: { query: cursor ? { cursor } : {} } }))}
      rowKey={(each) => each.id}
      columns={[
        { title: "Group", cell: (each) => each.name },
        { title: "Id", cell: (each) => <Code>{each.id}</Code> },
        { title: "Rule", cell: (each) => <span className="mono">{each.rule ?? "by hand"}</span> },
        { title: "Certificates", cell: (each) => count(each.members) },
        {
          title: "",
          cell: (each) => (
            <Group gap="xs" wrap="nowrap">
              <Form
                label="Change"
                variant="default"
                service="inventory"
                method="patch"
                path="/v1/groups/{group_id}"
                ids={{ group_id: each.id }}
                fields={each.rule === null ? ["name", "description"] : ["name", "description", "rule"]}
                initial={{
                  name: each.name,
                  description: each.description,
                  ...(each.rule === null ? {} : { rule: each.rule }),
                }}
              />
              <Remove
                what={`${each.name} is no more; who was limited to it sees nothing of it any more.`}
                service="inventory"
                path="/v1/groups/{group_id}"
                ids={{ group_id: each.id }}
              />
            </Group>
          ),
        },
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
        {
          title: "",
          cell: (each) => {
            const verb = each.is_enabled ? "disable" : "enable";
            return (
              <Act
                label={each.is_enabled ? "Switch off" : "Switch on"}
                variant="default"
                what={
                  each.is_enabled
                    ? `${each.title} is judged by no more, and its alerts end.`
                    : `Everything is judged by ${each.title} from now on.`
                }
                run={() =>
                  send("inventory", "post", `/v1/policies/{policy_id}/${verb}`, {
                    ids: { policy_id: each.id },
                  })
                }
              />
            );
          },
        },
      ]}
      empty={<Empty title="There is no policy">Mozilla, NIST, BSI and CNSA come along.</Empty>}
    />
  );
}

/** A channel hears of what happens once it is there: this tells it of what is open already. */
export function CatchUp({ id, name }: { id: string; name: string }) {
  return (
    <Form
      label="Tell what is open"
      variant="default"
      service="notifier"
      path="/v1/channels/{channel_id}/catch-up"
      ids={{ channel_id: id }}
      what={`${name} is told of the open alerts that it has heard nothing of: of those that its rules tell, and that nobody has acknowledged, put off or muted.`}
      shown={(told) => (
        <Alert color="teal" title={many(Number(told.count), "alert")}>
          {told.count ? "They are on their way." : "It has heard of all that is for it."}
        </Alert>
      )}
    />
  );
}

export function MakeChannel() {
  return (
    <Form
      label="New channel"
      service="notifier"
      path="/v1/channels"
      fields={["name", "kind", "options", "secrets", "groups"]}
      kinds={{ path: "/v1/channel-kinds", parts: { options: "options", secrets: "secrets" } }}
      choices={{ groups: useGroupChoices() }}
    />
  );
}

function Channels() {
  return (
    <Listing
      label="Channels"
      queryKey={["channels"]}
      actions={<MakeChannel />}
      load={(cursor) => data(notifier.GET("/v1/channels", { params: { query: cursor ? { cursor } : {} } }))}
      rowKey={(each) => each.id}
      columns={[
        { title: "Channel", cell: (each) => each.name },
        { title: "Kind", cell: (each) => plain(each.kind) },
        {
          title: "State",
          cell: (each) => (
            <>
              <State of={each.enabled ? "enabled" : "off"} /> {each.disabled_because}
            </>
          ),
        },
        { title: "Changed", cell: (each) => <When at={each.updated_at} /> },
        {
          title: "",
          cell: (each) => (
            <Group gap="xs" wrap="nowrap">
              <Form
                label="Send a test"
                variant="default"
                service="notifier"
                path="/v1/channels/{channel_id}/test"
                ids={{ channel_id: each.id }}
                what={`A test goes through ${each.name} now.`}
                shown={(trial) => (
                  <Alert
                    color={trial.outcome === "delivered" ? "teal" : "red"}
                    title={trial.outcome === "delivered" ? "It was delivered" : "It was not delivered"}
                  >
                    {String(trial.answer)}
                  </Alert>
                )}
              />
              <CatchUp id={each.id} name={each.name} />
              <Form
                label="Change"
                variant="default"
                service="notifier"
                method="patch"
                path="/v1/channels/{channel_id}"
                ids={{ channel_id: each.id }}
                fields={["name", "options", "secrets", "enabled", "groups"]}
                initial={{
                  name: each.name,
                  options: each.options,
                  enabled: each.enabled,
                  groups: each.groups,
                }}
              />
              <Remove
                what={`${each.name} tells nobody any more.`}
                service="notifier"
                path="/v1/channels/{channel_id}"
                ids={{ channel_id: each.id }}
              />
            </Group>
          ),
        },
      ]}
      empty={
        <Empty title="Nobody is told">Make a channel: mail, a webhook, SNMP, chat or a ticket system.</Empty>
      }
    />
  );
}

const TELLING = ["name", "min_severity", "problems", "channels", "groups", "plan"];

function Rules() {
  const choices = { channels: useChannelChoices(), groups: useGroupChoices() };
  return (
    <Listing
      label="Rules of who is told"
      queryKey={["rules"]}
      actions={
        <Form label="New rule" service="notifier" path="/v1/rules" fields={TELLING} choices={choices} />
      }
      load={(cursor) => data(notifier.GET("/v1/rules", { params: { query: cursor ? { cursor } : {} } }))}
      rowKey={(each) => each.id}
      columns={[
        { title: "Rule", cell: (each) => each.name },
        { title: "From", cell: (each) => plain(each.min_severity) },
        { title: "Problems", cell: (each) => each.problems.map(plain).join(", ") || "all" },
        {
          title: "Through",
          cell: (each) => (each.channels === null ? "all channels" : named(each.channels, choices.channels)),
        },
        { title: "Groups", cell: (each) => named(each.groups, choices.groups) || "all" },
        {
          title: "",
          cell: (each) => (
            <Group gap="xs" wrap="nowrap">
              <Form
                label="Change"
                variant="default"
                service="notifier"
                method="patch"
                path="/v1/rules/{rule_id}"
                ids={{ rule_id: each.id }}
                fields={TELLING}
                initial={picked(each, TELLING)}
                choices={choices}
              />
              <Remove
                what={`Nobody is told by ${each.name} any more.`}
                service="notifier"
                path="/v1/rules/{rule_id}"
                ids={{ rule_id: each.id }}
              />
            </Group>
          ),
        },
      ]}
      empty={
        <Empty title="Nobody is told anything">
          A rule says who is told of what, from which severity on, and what if nobody answers.
        </Empty>
      }
    />
  );
}
