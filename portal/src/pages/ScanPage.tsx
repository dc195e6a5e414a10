import { Anchor, Group, Progress, Select, Stack } from "@mantine/core";
import { useState } from "react";
import { Link, useParams } from "react-router";
import { data, discovery } from "../api";
import type { components } from "../contracts/discovery";
import { Act } from "../parts/Act";
import { Card } from "../parts/Card";
import { Detail, Halves } from "../parts/Detail";
import { Empty } from "../parts/Empty";
import { Facts } from "../parts/Facts";
import { Listing } from "../parts/Listing";
import { State } from "../parts/Marks";
import { Page } from "../parts/Page";
import { When } from "../parts/When";
import { Who } from "../parts/Who";
import { count, plain, shortly } from "../words";

type Scan = components["schemas"]["ScanView"];
type Outcome = components["schemas"]["Outcome"];

const OUTCOMES: Outcome[] = ["tls", "no_tls", "refused", "silent", "excluded", "failed"];

/** A scan: how far it is, and what came of every address that was asked. */
export function ScanPage() {
  const id = useParams().id ?? "";
  return (
    <Detail
      title="Scan"
      queryKey={["scan", id]}
      every={2_000}
      load={() => data(discovery.GET("/v1/scans/{scan_id}", { params: { path: { scan_id: id } } }))}
    >
      {(known) => <Shown known={known} />}
    </Detail>
  );
}

function Shown({ known }: { known: Scan }) {
  return (
    <Page title={shortly(known.targets)} lead={<State of={known.state} />} actions={<Steering of={known} />}>
      <Stack>
        <Halves
          left={
            <Card title="What is asked">
              <Facts
                of={{
                  Targets: known.targets.join(", "),
                  Ports: known.ports,
                  Depth: known.depth,
                  "But not": known.exclude.join(", "),
                  "No address for": Object.keys(known.unresolved).join(", "),
                  "Begun by": <Who id={known.created_by} />,
                  Begun: <When at={known.created_at} />,
                  "Why it stands": known.error,
                }}
              />
            </Card>
          }
          right={
            <Card title="How far it is">
              <Progress value={known.percent} aria-label={`${Math.floor(known.percent)} percent`} mb="sm" />
              <Facts
                of={{
                  Asked: `${count(known.counts.asked)} of ${count(known.total)}`,
                  Certificates: count(known.counts.found),
                  "A second": known.per_second && count(Math.round(known.per_second)),
                  "Over in": known.seconds_left && `${count(Math.ceil(known.seconds_left))} s, as it goes`,
                  Over: <When at={known.finished_at} none="not yet" />,
                }}
              />
            </Card>
          }
        />
        <Results of={known.id} />
      </Stack>
    </Page>
  );
}

function Results({ of }: { of: string }) {
  const [outcome, setOutcome] = useState<Outcome | null>(null);
  return (
    <Stack gap="sm">
      <Group>
        <Select
          aria-label="Outcome"
          placeholder="any outcome"
          clearable
          value={outcome}
          onChange={(value) => setOutcome(value as Outcome | null)}
          data={OUTCOMES.map((each) => ({ value: each, label: plain(each) }))}
        />
      </Group>
      <Listing
        label="What came of it"
        queryKey={["scan", of, "results", outcome]}
        every={5_000}
        load={(cursor) =>
          data(
            discovery.GET("/v1/scans/{scan_id}/results", {
              params: {
                path: { scan_id: of },
                query: { ...(outcome ? { outcome } : {}), ...(cursor ? { cursor } : {}) },
              },
            }),
          )
        }
        rowKey={(each) => String(each.number)}
        columns={[
          {
            title: "Where",
            cell: (each) => (
              <span className="mono">
                {each.address}
                {each.port ? `:${each.port}` : ""}
              </span>
            ),
          },
          { title: "As", cell: (each) => each.server_name },
          { title: "Outcome", cell: (each) => <State of={each.outcome} /> },
          {
            title: "Certificate",
            cell: (each) =>
              each.fingerprint ? (
                <Anchor component={Link} to={`/certificates/${each.fingerprint}`} className="mono">
                  {each.fingerprint.slice(0, 16)}…
                </Anchor>
              ) : null,
          },
          { title: "Speaks", cell: (each) => each.tls_version ?? each.protocol },
          { title: "Why", cell: (each) => each.reason },
        ]}
        empty={<Empty title="Nothing to show yet">No address has answered so, or been asked, so far.</Empty>}
      />
    </Stack>
  );
}

/** What can be done about a scan in its state. */
export function Steering({ of }: { of: Scan }) {
  const params = { path: { scan_id: of.id } };
  if (of.finished_at) {
    return null;
  }
  return (
    <Group gap="xs" wrap="nowrap">
      {of.state === "paused" ? (
        <Act
          label="Resume"
          what="It goes on where it stands."
          run={() => data(discovery.POST("/v1/scans/{scan_id}/resume", { params }))}
        />
      ) : (
        <Act
          label="Pause"
          variant="default"
          what="Nothing more is asked until it is resumed; what was found stays known."
          run={() => data(discovery.POST("/v1/scans/{scan_id}/pause", { params }))}
        />
      )}
      <Act
        label="Cancel"
        color="red"
        variant="light"
        what="Nothing more is asked, for good; what was found stays known."
        run={() => data(discovery.POST("/v1/scans/{scan_id}/cancel", { params }))}
      />
    </Group>
  );
}
