import { Anchor, Group, Select, Text } from "@mantine/core";
import { useState } from "react";
import { Link } from "react-router";
import { data, provisioner } from "../../api";
import { CertificateName } from "../../parts/CertificateName";
import { Empty } from "../../parts/Empty";
import { Form } from "../../parts/Form";
import { Listing } from "../../parts/Listing";
import { useTargets } from "../../parts/scopes";
import { Upkeep } from "../../parts/Upkeep";
import { Who } from "../../parts/Who";

const SLOTS = { path: "/v1/target-kinds", parts: { slot: "slot" } };

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

export function Bindings() {
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
            <Upkeep
              of={each}
              service="provisioner"
              path="/v1/bindings/{binding_id}"
              ids={{ binding_id: each.id }}
              fields={["on_drift", "after"]}
              gone="The lineage is put there no more. What is there now stays."
            />
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
