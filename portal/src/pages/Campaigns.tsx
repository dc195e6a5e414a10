import { data, renewal } from "../api";
import { Act } from "../parts/Act";
import { Empty } from "../parts/Empty";
import { Listing } from "../parts/Listing";
import { State } from "../parts/Marks";
import { Page } from "../parts/Page";
import { When } from "../parts/When";

export function Campaigns() {
  return (
    <Page
      title="Campaigns"
      lead="Replace everything a CA has issued, everything with a key, everything too weak: as one job."
    >
      <Listing
        label="Campaigns"
        queryKey={["campaigns"]}
        load={(cursor) => data(renewal.GET("/v1/campaigns", { params: { query: cursor ? { cursor } : {} } }))}
        rowKey={(each) => each.id}
        columns={[
          { title: "Name", cell: (each) => each.name },
          { title: "What", cell: (each) => <span className="mono">{each.query}</span> },
          { title: "Until", cell: (each) => <When at={each.deadline} none="no deadline" /> },
          { title: "State", cell: (each) => <State of={each.state} /> },
          { title: "Wave", cell: (each) => each.wave },
          {
            title: "",
            cell: (each) =>
              each.state === "running" ? (
                <Act
                  label="Pause"
                  variant="default"
                  what="Nothing more is ordered; what is under way goes on."
                  reason
                  run={(reason) =>
                    data(
                      renewal.POST("/v1/campaigns/{campaign_id}/pause", {
                        params: { path: { campaign_id: each.id } },
                        body: { reason },
                      }),
                    )
                  }
                />
              ) : each.state === "paused" ? (
                <Act
                  label="Resume"
                  what="The campaign goes on with its next wave."
                  run={() =>
                    data(
                      renewal.POST("/v1/campaigns/{campaign_id}/resume", {
                        params: { path: { campaign_id: each.id } },
                        body: { retry_failed: false },
                      }),
                    )
                  }
                />
              ) : each.state === "planned" && each.plan_digest ? (
                <Act
                  label="Start"
                  what="The plan begins with its first wave, once it is approved."
                  run={() =>
                    data(
                      renewal.POST("/v1/campaigns/{campaign_id}/start", {
                        params: { path: { campaign_id: each.id } },
                        body: { plan_digest: each.plan_digest ?? "" },
                      }),
                    )
                  }
                />
              ) : null,
          },
        ]}
        empty={
          <Empty title="No campaign was planned">
            Use one when a CA is distrusted or a key is known: it plans, asks for one approval, replaces in
            waves, and leaves a signed report.
          </Empty>
        }
      />
    </Page>
  );
}
