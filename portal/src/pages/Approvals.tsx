import { Anchor, Group, SegmentedControl, Stack } from "@mantine/core";
import { useState } from "react";
import { Link } from "react-router";
import { data, provisioner, renewal } from "../api";
import { Card } from "../parts/Card";
import { Empty } from "../parts/Empty";
import { Listing } from "../parts/Listing";
import { State } from "../parts/Marks";
import { Page } from "../parts/Page";
import { When } from "../parts/When";
import { Everybody } from "../parts/Who";
import { plain } from "../words";

export function Approvals() {
  const [show, setShow] = useState("mine");
  return (
    <Page title="Approvals" lead="Who asks never decides. What is approved is exactly what is done.">
      <Stack>
        <Group>
          <SegmentedControl
            aria-label="Which approvals"
            value={show}
            onChange={setShow}
            data={[
              { value: "mine", label: "wait for me" },
              { value: "all", label: "all" },
            ]}
          />
        </Group>
        <Waiting of="renewal" show={show} />
        <Waiting of="provisioner" show={show} />
      </Stack>
    </Page>
  );
}

/** What waits in one service: orders, revocations and campaigns, or what goes into targets. */
function Waiting({ of, show }: { of: "renewal" | "provisioner"; show: string }) {
  const title = of === "renewal" ? "To order, revoke or replace" : "To put in place";
  const load = (cursor: string | undefined) => {
    const query = { ...(show === "all" ? { show: "all" } : {}), ...(cursor ? { cursor } : {}) } as never;
    return of === "renewal"
      ? data(renewal.GET("/v1/approvals", { params: { query } }))
      : data(provisioner.GET("/v1/approvals", { params: { query } }));
  };
  return (
    <Card title={title}>
      <Listing
        label={title}
        queryKey={["approvals", of, show]}
        load={load}
        rowKey={(each) => each.id}
        columns={[
          {
            title: "What",
            cell: (each) => (
              <Anchor component={Link} to={`/approvals/${of}/${each.id}`} size="sm">
                {plain(each.kind)}
              </Anchor>
            ),
          },
          { title: "State", cell: (each) => <State of={each.state} /> },
          { title: "Needed", cell: (each) => each.needed },
          { title: "Asked by", cell: (each) => <Everybody ids={each.requesters} /> },
          { title: "Asked", cell: (each) => <When at={each.created_at} /> },
          { title: "Runs out", cell: (each) => <When at={each.expires_at} /> },
        ]}
        empty={<Empty title="Nothing waits">No approval waits for a word of yours.</Empty>}
      />
    </Card>
  );
}
