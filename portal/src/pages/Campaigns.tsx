import { Anchor } from "@mantine/core";
import { Link } from "react-router";
import { data, renewal } from "../api";
import { useGroupChoices } from "../parts/choices";
import { Empty } from "../parts/Empty";
import { Form } from "../parts/Form";
import { Listing } from "../parts/Listing";
import { State } from "../parts/Marks";
import { Page } from "../parts/Page";
import { When } from "../parts/When";
import { Steering } from "./CampaignPage";

export function Campaigns() {
  return (
    <Page
      title="Campaigns"
      lead="Replace everything a CA has issued, everything with a key, everything too weak: as one job."
    >
      <Listing
        label="Campaigns"
        actions={<Plan />}
        queryKey={["campaigns"]}
        every={5_000}
        load={(cursor) => data(renewal.GET("/v1/campaigns", { params: { query: cursor ? { cursor } : {} } }))}
        rowKey={(each) => each.id}
        columns={[
          {
            title: "Name",
            cell: (each) => (
              <Anchor component={Link} to={`/campaigns/${each.id}`} size="sm">
                {each.name}
              </Anchor>
            ),
          },
          { title: "What", cell: (each) => <span className="mono">{each.query}</span> },
          { title: "Until", cell: (each) => <When at={each.deadline} none="no deadline" /> },
          { title: "State", cell: (each) => <State of={each.state} /> },
          { title: "Wave", cell: (each) => each.wave + 1 },
          { title: "", cell: (each) => <Steering of={each} /> },
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

function Plan() {
  return (
    <Form
      label="Plan a campaign"
      service="renewal"
      path="/v1/campaigns"
      fields={["name", "query", "reason", "deadline", "profiles", "not_from", "waves", "revoke", "groups"]}
      choices={{ groups: useGroupChoices() }}
      what="Nothing is ordered yet: first it is shown what would be replaced, by what, and what only people can do."
    />
  );
}
