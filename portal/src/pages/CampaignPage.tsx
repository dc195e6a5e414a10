import { Anchor, Group, List, Stack, Text } from "@mantine/core";
import { Link, useParams } from "react-router";
import { data, renewal } from "../api";
import type { components } from "../contracts/renewal";
import { Act } from "../parts/Act";
import { Card } from "../parts/Card";
import { Detail, Halves } from "../parts/Detail";
import { Download } from "../parts/Download";
import { Empty } from "../parts/Empty";
import { Facts } from "../parts/Facts";
import { Form } from "../parts/Form";
import { Listing } from "../parts/Listing";
import { State } from "../parts/Marks";
import { Page } from "../parts/Page";
import { Share } from "../parts/Share";
import { When } from "../parts/When";
import { Who } from "../parts/Who";
import { count, many } from "../words";

type Campaign = components["schemas"]["CampaignView"];
type Reported = components["schemas"]["CampaignReport"];

const WITH_REPORT = ["running", "paused", "finished", "aborted"];

/** A campaign: what it would do before it is started, and then how far it is. */
export function CampaignPage() {
  const id = useParams().id ?? "";
  const path = { campaign_id: id };
  return (
    <Detail
      title="Campaign"
      queryKey={["campaign", id]}
      every={3_000}
      load={() => data(renewal.GET("/v1/campaigns/{campaign_id}", { params: { path } }))}
    >
      {(known) => <Shown known={known} />}
    </Detail>
  );
}

function Shown({ known }: { known: Reported }) {
  return (
    <Page
      title={known.name}
      lead={<State of={known.state} />}
      actions={
        <Group gap="xs">
          {WITH_REPORT.includes(known.state) ? <Report of={known} /> : null}
          {known.state === "finished" && known.counts.failed ? <TryFailedAgain of={known} /> : null}
          <Steering of={known} />
        </Group>
      }
    >
      <Stack>
        <Halves
          left={
            <>
              <Card title="What it is">
                <Facts
                  of={{
                    Which: <span className="mono">{known.query}</span>,
                    Why: known.reason,
                    Until: <When at={known.deadline} none="no deadline" />,
                    Waves: known.wave_count && `${known.wave + 1} of ${known.wave_count}`,
                    "An hour, of late": known.per_hour ? count(Math.round(known.per_hour)) : null,
                    "Over, as it goes": known.ends_at && <When at={known.ends_at} />,
                    Late: known.is_late ? "yes: it will be over after its deadline" : null,
                    "Why it stands": known.last_error,
                    "Next step": known.next_step,
                    "Planned by": <Who id={known.created_by} />,
                    "Started by": known.started_by && <Who id={known.started_by} />,
                  }}
                />
              </Card>
              <Card title="By hand">
                {known.by_hand.length === 0 ? (
                  <Text size="sm">Nothing: all of it can be replaced by itself.</Text>
                ) : (
                  <List size="sm">
                    {known.by_hand.map((each) => (
                      <List.Item key={`${each.owner} ${each.obstacle}`}>
                        {each.owner ?? "nobody’s"}: {many(each.count, "certificate")}. {each.obstacle}
                      </List.Item>
                    ))}
                  </List>
                )}
              </Card>
            </>
          }
          right={
            <Card title="How far it is">
              <Share part={(known.counts.replaced ?? 0) as number} whole={known.total} label="are replaced" />
              <Group gap="md" mt="sm">
                {Object.entries(known.counts).map(([state, number]) => (
                  <Group key={state} gap={6}>
                    <State of={state} /> {count(number)}
                  </Group>
                ))}
              </Group>
            </Card>
          }
        />
        <Items of={known.id} />
      </Stack>
    </Page>
  );
}

function Items({ of }: { of: string }) {
  return (
    <Listing
      label="Certificates of the campaign"
      queryKey={["campaign", of, "items"]}
      every={5_000}
      load={(cursor) =>
        data(
          renewal.GET("/v1/campaigns/{campaign_id}/items", {
            params: { path: { campaign_id: of }, query: cursor ? { cursor } : {} },
          }),
        )
      }
      rowKey={(each) => each.lineage_id}
      columns={[
        {
          title: "Certificate",
          cell: (each) => (
            <Anchor component={Link} to={`/certificates/${each.fingerprint}`} size="sm">
              {each.names[0] ?? each.fingerprint.slice(0, 16)}
            </Anchor>
          ),
        },
        { title: "State", cell: (each) => <State of={each.state} /> },
        { title: "Wave", cell: (each) => (each.wave === null ? "" : each.wave + 1) },
        { title: "By", cell: (each) => each.profile },
        {
          title: "What stands in the way",
          cell: (each) => each.obstacle && `${each.obstacle} ${each.next_step ?? ""}`,
        },
        {
          title: "Order",
          cell: (each) =>
            each.order_id ? (
              <Anchor component={Link} to={`/orders/${each.order_id}`} size="sm">
                shown
              </Anchor>
            ) : null,
        },
        { title: "Seen in place", cell: (each) => <When at={each.observed_at} none="not yet" /> },
      ]}
      empty={
        <Empty title="Nothing is planned yet">The plan is being made, or the query finds nothing.</Empty>
      }
    />
  );
}

/** What can be done about a campaign in its state. */
export function Steering({ of }: { of: Campaign }) {
  switch (of.state) {
    case "running":
      return (
        <Group gap="xs" wrap="nowrap">
          <Pause of={of} />
          <Abort of={of} />
        </Group>
      );
    case "paused":
      return (
        <Group gap="xs" wrap="nowrap">
          <Resume of={of} />
          <Abort of={of} />
        </Group>
      );
    case "planned":
      return (
        <Group gap="xs" wrap="nowrap">
          <Start of={of} />
          <PlanAnew of={of} />
          <Abort of={of} />
        </Group>
      );
    case "planning":
    case "awaiting_approval":
      return <Abort of={of} />;
    default:
      return null;
  }
}

function Pause({ of }: { of: Campaign }) {
  const params = { path: { campaign_id: of.id } };
  return (
    <Act
      label="Pause"
      variant="default"
      what="Nothing more is ordered; what is under way goes on."
      reason
      run={(reason) => data(renewal.POST("/v1/campaigns/{campaign_id}/pause", { params, body: { reason } }))}
    />
  );
}

function Resume({ of }: { of: Campaign }) {
  return (
    <Form
      label="Resume"
      service="renewal"
      path="/v1/campaigns/{campaign_id}/resume"
      ids={{ campaign_id: of.id }}
      what="The campaign goes on with its next wave; failures of this one are no reason to stop any more."
    />
  );
}

function Start({ of }: { of: Campaign }) {
  const params = { path: { campaign_id: of.id } };
  return of.plan_digest ? (
    <Act
      label="Start"
      what="The plan begins with its first wave, once it is approved."
      run={() =>
        data(
          renewal.POST("/v1/campaigns/{campaign_id}/start", {
            params,
            body: { plan_digest: of.plan_digest ?? "" },
          }),
        )
      }
    />
  ) : null;
}

function PlanAnew({ of }: { of: Campaign }) {
  const params = { path: { campaign_id: of.id } };
  return (
    <Act
      label="Plan anew"
      variant="default"
      what="It is asked again what the query finds, and which profile replaces each. Nothing is ordered."
      run={() => data(renewal.POST("/v1/campaigns/{campaign_id}/plan", { params }))}
    />
  );
}

function TryFailedAgain({ of }: { of: Campaign }) {
  const params = { path: { campaign_id: of.id } };
  return (
    <Act
      label="Try again what has failed"
      what="What has failed is ordered again; what was replaced stays."
      run={() =>
        data(renewal.POST("/v1/campaigns/{campaign_id}/resume", { params, body: { retry_failed: true } }))
      }
    />
  );
}

function Abort({ of }: { of: Campaign }) {
  const params = { path: { campaign_id: of.id } };
  return (
    <Act
      label="Abort"
      color="red"
      variant="light"
      what="Nothing more of it is ever ordered; what was replaced stays, and the report says how far it came."
      reason
      run={(reason) => data(renewal.POST("/v1/campaigns/{campaign_id}/abort", { params, body: { reason } }))}
    />
  );
}

/** What was done, line by line, as an auditor checks it: `everleaf verify-evidence`. */
function Report({ of }: { of: Campaign }) {
  const params = { path: { campaign_id: of.id } };
  return (
    <Download
      label="Signed report"
      file={`campaign-${of.id}.ndjson`}
      ask={() => renewal.GET("/v1/campaigns/{campaign_id}/evidence", { params, parseAs: "blob" })}
    />
  );
}
