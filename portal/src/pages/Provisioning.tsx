import { Anchor, Group, Select, Stack, Tabs, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "react-router";
import { data, provisioner } from "../api";
import { Act } from "../parts/Act";
import { CertificateName } from "../parts/CertificateName";
import { named, useGroupChoices } from "../parts/choices";
import { Empty } from "../parts/Empty";
import { picked } from "../parts/Fields";
import { Form, Remove } from "../parts/Form";
import { Listing } from "../parts/Listing";
import { State } from "../parts/Marks";
import { Page } from "../parts/Page";
import { When } from "../parts/When";
import { Who } from "../parts/Who";
import { lasting, many, plain } from "../words";

export function Provisioning() {
  return (
    <Page title="Provisioning" lead="Pushed, bound, and seen on the wire; or put back as it was.">
      <Tabs defaultValue="deployments" keepMounted={false}>
        <Tabs.List mb="md">
          <Tabs.Tab value="deployments">Deployments</Tabs.Tab>
          <Tabs.Tab value="rollouts">Rollouts</Tabs.Tab>
          <Tabs.Tab value="windows">Windows and freezes</Tabs.Tab>
          <Tabs.Tab value="targets">Targets</Tabs.Tab>
          <Tabs.Tab value="bindings">Bindings</Tabs.Tab>
          <Tabs.Tab value="proposals">Proposals</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="deployments">
          <Deployments />
        </Tabs.Panel>
        <Tabs.Panel value="rollouts">
          <Stack>
            <Rollouts />
            <RolloutPolicies />
          </Stack>
        </Tabs.Panel>
        <Tabs.Panel value="windows">
          <Windows />
        </Tabs.Panel>
        <Tabs.Panel value="targets">
          <Targets />
        </Tabs.Panel>
        <Tabs.Panel value="bindings">
          <Bindings />
        </Tabs.Panel>
        <Tabs.Panel value="proposals">
          <Proposals />
        </Tabs.Panel>
      </Tabs>
    </Page>
  );
}

function Deployments() {
  return (
    <Listing
      label="Deployments"
      queryKey={["deployments"]}
      every={3_000}
      load={(cursor) =>
        data(provisioner.GET("/v1/deployments", { params: { query: cursor ? { cursor } : {} } }))
      }
      rowKey={(each) => each.id}
      columns={[
        {
          title: "Certificate",
          cell: (each) => (
            <Anchor component={Link} to={`/deployments/${each.id}`} size="sm">
              <CertificateName query={`fingerprint = ${each.fingerprint}`} id={each.fingerprint} />
            </Anchor>
          ),
        },
        { title: "State", cell: (each) => <State of={each.state} /> },
        { title: "Failed at", cell: (each) => each.failed_step },
        { title: "Reason", cell: (each) => each.reason },
        { title: "Begun", cell: (each) => <When at={each.created_at} /> },
        { title: "In place", cell: (each) => <When at={each.deployed_at} none="not yet" /> },
      ]}
      empty={
        <Empty title="Nothing was put in place yet">
          A renewed certificate goes wherever its lineage is bound.
        </Empty>
      }
    />
  );
}

function Rollouts() {
  return (
    <Listing
      label="Rollouts"
      queryKey={["rollouts"]}
      every={3_000}
      load={(cursor) =>
        data(provisioner.GET("/v1/rollouts", { params: { query: cursor ? { cursor } : {} } }))
      }
      rowKey={(each) => each.id}
      columns={[
        {
          title: "Certificate",
          cell: (each) => (
            <Anchor component={Link} to={`/rollouts/${each.id}`} size="sm">
              <CertificateName query={`fingerprint = ${each.fingerprint}`} id={each.fingerprint} />
            </Anchor>
          ),
        },
        { title: "State", cell: (each) => <State of={each.state} /> },
        { title: "Wave", cell: (each) => each.wave },
        { title: "Reason", cell: (each) => each.reason },
        { title: "Begun", cell: (each) => <When at={each.created_at} /> },
        { title: "Over", cell: (each) => <When at={each.finished_at} none="not yet" /> },
      ]}
      empty={
        <Empty title="Nothing goes out in waves">
          A rollout policy puts a certificate on canaries first, then on a share, then everywhere, and stops
          when it fails.
        </Empty>
      }
    />
  );
}

/** How careful one is with a lineage: canaries first, then a share at a time, and a stop where it fails. */
function RolloutPolicies() {
  return (
    <Listing
      label="Who goes out in waves"
      queryKey={["rollout-policies"]}
      load={(cursor) =>
        data(provisioner.GET("/v1/rollout-policies", { params: { query: cursor ? { cursor } : {} } }))
      }
      rowKey={(each) => each.lineage_id}
      columns={[
        {
          title: "Lineage",
          cell: (each) => <CertificateName query={`lineage = "${each.lineage_id}"`} id={each.lineage_id} />,
        },
        { title: "Canaries", cell: (each) => each.canaries },
        { title: "Then at once", cell: (each) => `${each.share} %` },
        { title: "Stops after", cell: (each) => many(each.stop_after, "failure") },
        { title: "Approvals", cell: (each) => each.approvals_needed || "none" },
        {
          title: "",
          cell: (each) => {
            const ids = { lineage_id: each.lineage_id };
            const path = "/v1/rollout-policies/{lineage_id}";
            return (
              <Group gap="xs" wrap="nowrap">
                <Form
                  label="Change"
                  variant="default"
                  service="provisioner"
                  method="put"
                  path={path}
                  ids={ids}
                  initial={picked(each, POLICY)}
                />
                <Remove
                  what="It goes everywhere at once from now on."
                  service="provisioner"
                  path={path}
                  ids={ids}
                />
              </Group>
            );
          },
        },
      ]}
      empty={
        <Empty title="Everything goes everywhere at once">
          Open a certificate to have its renewals go out canary first.
        </Empty>
      }
    />
  );
}

const POLICY = [
  "canaries",
  "share",
  "soak",
  "stop_after",
  "watch",
  "approvals_needed",
  "approver_groups",
  "approver_roles",
];

function useTargets() {
  const asked = useQuery({
    queryKey: ["targets", "choices"],
    queryFn: () => data(provisioner.GET("/v1/targets", { params: { query: { limit: 1000 } } })),
  });
  return asked.data?.items ?? [];
}

interface Scoped {
  group: string | null;
  target_id: string | null;
}

function Windows() {
  const choices = { target_id: useTargets().map((each) => ({ value: each.id, label: each.name })) };
  const groups = useGroupChoices();
  const scope = ({ group, target_id: target }: Scoped) =>
    group ? named([group], groups) : target && named([target], choices.target_id);
  return (
    <Stack>
      <Listing
        label="Change windows"
        actions={
          <Form label="New window" service="provisioner" path="/v1/change-windows" choices={choices} />
        }
        queryKey={["windows"]}
        load={(cursor) =>
          data(provisioner.GET("/v1/change-windows", { params: { query: cursor ? { cursor } : {} } }))
        }
        rowKey={(each) => each.id}
        columns={[
          { title: "Window", cell: (each) => each.name },
          { title: "Of", cell: scope },
          {
            title: "When",
            cell: (each) =>
              each.weekly.map((slot) => `${slot.day} ${slot.start} for ${lasting(slot.duration)}`).join("; "),
          },
          { title: "Zone", cell: (each) => each.time_zone },
          {
            title: "",
            cell: (each) => (
              <Group gap="xs" wrap="nowrap">
                <Form
                  label="Change"
                  variant="default"
                  service="provisioner"
                  method="patch"
                  path="/v1/change-windows/{window_id}"
                  ids={{ window_id: each.id }}
                  initial={picked(each, ["name", "time_zone", "weekly"])}
                />
                <Remove
                  what={`Targets of ${each.name} may be changed at any time, unless another window is for them.`}
                  service="provisioner"
                  path="/v1/change-windows/{window_id}"
                  ids={{ window_id: each.id }}
                />
              </Group>
            ),
          },
        ]}
        empty={<Empty title="Targets are changed at any time">A change window says when they may be.</Empty>}
      />
      <Listing
        label="Freezes"
        actions={<Form label="New freeze" service="provisioner" path="/v1/freezes" choices={choices} />}
        queryKey={["freezes"]}
        load={(cursor) =>
          data(provisioner.GET("/v1/freezes", { params: { query: cursor ? { cursor } : {} } }))
        }
        rowKey={(each) => each.id}
        columns={[
          { title: "Why", cell: (each) => each.reason },
          { title: "Of", cell: (each) => scope(each) ?? "all" },
          { title: "From", cell: (each) => <When at={each.starts_at} /> },
          { title: "Until", cell: (each) => <When at={each.ends_at} /> },
          {
            title: "",
            cell: (each) => (
              <Group gap="xs" wrap="nowrap">
                <Form
                  label="Change"
                  variant="default"
                  service="provisioner"
                  method="patch"
                  path="/v1/freezes/{freeze_id}"
                  ids={{ freeze_id: each.id }}
                  initial={picked(each, ["reason", "starts_at", "ends_at"])}
                />
                <Remove
                  what="What is frozen may be changed again."
                  service="provisioner"
                  path="/v1/freezes/{freeze_id}"
                  ids={{ freeze_id: each.id }}
                />
              </Group>
            ),
          },
        ]}
        empty={<Empty title="Nothing is frozen">A freeze keeps targets as they are for a time.</Empty>}
      />
    </Stack>
  );
}

function Targets() {
  const groups = useGroupChoices();
  return (
    <Listing
      label="Targets"
      actions={<MakeTarget />}
      queryKey={["targets"]}
      load={(cursor) => data(provisioner.GET("/v1/targets", { params: { query: cursor ? { cursor } : {} } }))}
      rowKey={(each) => each.id}
      columns={[
        { title: "Name", cell: (each) => each.name },
        { title: "Kind", cell: (each) => plain(each.kind) },
        { title: "Where", cell: (each) => (each.host ? `${each.username}@${each.host}:${each.port}` : "") },
        { title: "Groups", cell: (each) => named(each.groups, groups) },
        { title: "Changed", cell: (each) => <When at={each.updated_at} /> },
        {
          title: "",
          cell: (each) => (
            <Group gap="xs" wrap="nowrap">
              <Act
                label="Check"
                variant="default"
                what={`${each.name} is logged into, and what works is said. Nothing is changed there.`}
                run={() =>
                  data(
                    provisioner.POST("/v1/targets/{target_id}/check", {
                      params: { path: { target_id: each.id } },
                    }),
                  )
                }
              />
              <Form
                label="Change"
                variant="default"
                service="provisioner"
                method="patch"
                path="/v1/targets/{target_id}"
                ids={{ target_id: each.id }}
                fields={["host", "port", "username", "host_key", "options", "groups", "credential"]}
                initial={{ options: each.options, groups: each.groups }}
              />
              <Remove
                what={`${each.name} is known no more. It stays as it is, and so do its certificates.`}
                service="provisioner"
                path="/v1/targets/{target_id}"
                ids={{ target_id: each.id }}
              />
            </Group>
          ),
        },
      ]}
      empty={<Empty title="No target is known">Accept a proposal, and its target is made with it.</Empty>}
    />
  );
}

function MakeTarget() {
  return (
    <Form
      label="New target"
      service="provisioner"
      path="/v1/targets"
      fields={["name", "kind", "host", "port", "username", "host_key", "options", "credential", "groups"]}
      kinds={{ path: "/v1/target-kinds", parts: { options: "options", credential: "credential" } }}
    />
  );
}

/** Binds a lineage: what the slot takes goes by the kind of its target. */
function MakeBinding() {
  const targets = useTargets();
  const [targetId, setTargetId] = useState<string | null>(null);
  const target = targets.find((each) => each.id === targetId);
  return (
    <Group gap="xs">
      <Select
        aria-label="Target of the new binding"
        placeholder="on which target"
        size="xs"
        searchable
        data={targets.map((each) => ({ value: each.id, label: each.name }))}
        value={targetId}
        onChange={setTargetId}
      />
      <Form
        key={targetId ?? ""}
        label="New binding"
        disabled={!target}
        service="provisioner"
        path="/v1/bindings"
        fields={["lineage_id", "slot", "endpoints", "deploy_now", "on_drift"]}
        along={{ target_id: targetId }}
        kinds={SLOTS}
        {...(target ? { kind: target.kind } : {})}
      />
    </Group>
  );
}

const SLOTS = { path: "/v1/target-kinds", parts: { slot: "slot" } };

function Bindings() {
  return (
    <Listing
      label="Bindings"
      actions={<MakeBinding />}
      queryKey={["bindings"]}
      load={(cursor) =>
        data(provisioner.GET("/v1/bindings", { params: { query: cursor ? { cursor } : {} } }))
      }
      rowKey={(each) => each.id}
      columns={[
        {
          title: "Lineage",
          cell: (each) => (
            <Anchor
              component={Link}
              to={`/certificates?query=${encodeURIComponent(`lineage = "${each.lineage_id}" and current`)}`}
              size="sm"
            >
              <CertificateName query={`lineage = "${each.lineage_id}" and current`} id={each.lineage_id} />
            </Anchor>
          ),
        },
        {
          title: "Slot",
          cell: (each) => (
            <Text size="sm" className="mono" miw={220}>
              {JSON.stringify(each.slot)}
            </Text>
          ),
        },
        {
          title: "Proved at",
          cell: (each) => each.endpoints.map((at) => `${at.server_name ?? at.address}:${at.port}`).join(", "),
        },
        { title: "By", cell: (each) => <Who id={each.created_by} /> },
        {
          title: "",
          cell: (each) => (
            <Group gap="xs" wrap="nowrap">
              <Form
                label="Change"
                variant="default"
                service="provisioner"
                method="patch"
                path="/v1/bindings/{binding_id}"
                ids={{ binding_id: each.id }}
                initial={{ on_drift: each.on_drift, after: each.after }}
              />
              <Remove
                what="The lineage is put there no more. What is there now stays."
                service="provisioner"
                path="/v1/bindings/{binding_id}"
                ids={{ binding_id: each.id }}
              />
            </Group>
          ),
        },
      ]}
      empty={
        <Empty title="Nothing is bound yet">
          A binding says that a lineage belongs in a slot of a target.
        </Empty>
      }
    />
  );
}

function Proposals() {
  return (
    <Listing
      label="Proposals"
      queryKey={["proposals"]}
      load={(cursor) =>
        data(
          provisioner.GET("/v1/proposals", {
            params: { query: { state: "open", ...(cursor ? { cursor } : {}) } as never },
          }),
        )
      }
      rowKey={(each) => each.id}
      columns={[
        { title: "Host", cell: (each) => each.host },
        { title: "Server", cell: (each) => each.products.join(", ") },
        { title: "File", cell: (each) => <span className="mono">{each.certificate_path}</span> },
        {
          title: "Certificate",
          cell: (each) => (
            <Anchor component={Link} to={`/certificates/${each.fingerprint}`} size="sm" className="mono">
              {each.fingerprint.slice(0, 12)}…
            </Anchor>
          ),
        },
        {
          title: "Ready",
          cell: (each) =>
            each.is_ready ? (
              <Form
                label="Bind"
                service="provisioner"
                path="/v1/proposals/{proposal_id}/accept"
                ids={{ proposal_id: each.id }}
                what={`From now on ${each.certificate_path} on ${each.host} gets each new certificate.`}
              />
            ) : (
              each.reason
            ),
        },
      ]}
      empty={
        <Empty title="Nothing is proposed">
          Read a host by SSH under Discovery: what its configuration uses is proposed here, ready to be bound.
        </Empty>
      }
    />
  );
}
