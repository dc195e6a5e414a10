import { Anchor, Group, SegmentedControl, Select, Stack } from "@mantine/core";
import { Link, useSearchParams } from "react-router";
import { data, notifier } from "../api";
import type { components, paths } from "../contracts/notifier";
import { Empty } from "../parts/Empty";
import { Listing } from "../parts/Listing";
import { Severity, State } from "../parts/Marks";
import { Page } from "../parts/Page";
import { When } from "../parts/When";
import { plain } from "../words";

type Wanted = NonNullable<paths["/v1/alerts"]["get"]["parameters"]["query"]>;
type Alerted = components["schemas"]["AlertView"];

/** Return why nobody is told of it any more, or where else it is. */
function standing(of: Alerted): string {
  if (of.state !== "open") return of.state;
  if (of.muted_at) return "muted";
  if (of.snoozed_until) return "put off";
  return of.acknowledged_at ? "acknowledged" : of.state;
}

export function Alerts() {
  const [params, setParams] = useSearchParams();
  const state = params.get("state") ?? "open";
  const severity = params.get("severity");
  const set = (name: string, value: string | null) => {
    const next = new URLSearchParams(params);
    if (value === null) next.delete(name);
    else next.set(name, value);
    setParams(next);
  };
  const wanted = { state, ...(severity ? { severity } : {}) } as Wanted;
  return (
    <Page title="Alerts" lead="An alert is over when the wire shows it, not when somebody says so.">
      <Stack>
        <Group>
          <SegmentedControl
            aria-label="State"
            value={state}
            onChange={(value) => set("state", value)}
            data={["open", "resolved"]}
          />
          <Select
            aria-label="Severity"
            placeholder="any severity"
            clearable
            value={severity}
            onChange={(value) => set("severity", value)}
            data={["info", "warning", "error", "critical"]}
          />
        </Group>
        <Listing
          label="Alerts"
          queryKey={["alerts", state, severity]}
          load={(cursor) =>
            data(
              notifier.GET("/v1/alerts", { params: { query: { ...wanted, ...(cursor ? { cursor } : {}) } } }),
            )
          }
          rowKey={(each) => each.id}
          columns={[
            { title: "Severity", cell: (each) => <Severity of={each.severity} /> },
            {
              title: "What",
              cell: (each) => (
                <Anchor component={Link} to={`/alerts/${each.id}`} size="sm">
                  {each.summary}
                </Anchor>
              ),
            },
            { title: "Problem", cell: (each) => plain(each.problem) },
            { title: "Since", cell: (each) => <When at={each.opened_at} /> },
            {
              title: "State",
              cell: (each) => <State of={standing(each)} />,
            },
          ]}
          empty={<Empty title="No alert">Nothing of this kind is open.</Empty>}
        />
      </Stack>
    </Page>
  );
}
