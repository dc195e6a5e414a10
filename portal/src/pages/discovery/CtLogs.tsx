import { Anchor, Group, Progress } from "@mantine/core";
import { Link } from "react-router";
import { data, discovery } from "../../api";
import type { components } from "../../contracts/discovery";
import { useGroupChoices } from "../../parts/choices";
import { Empty } from "../../parts/Empty";
import { picked } from "../../parts/Fields";
import { Form, Remove } from "../../parts/Form";
import { Listing } from "../../parts/Listing";
import { State } from "../../parts/Marks";
import { When } from "../../parts/When";
import { shortly } from "../../words";

export type CtLog = components["schemas"]["CtLogView"];

const STARTS = [
  { value: "now", label: "now: what is added from here on" },
  { value: "beginning", label: "beginning: all there is, which may take days" },
];

/** The Certificate Transparency logs that are read for names under one's own domains. */
export function CtLogs() {
  return (
    <Listing
      label="Transparency logs"
      queryKey={["ct-logs"]}
      every={10_000}
      actions={
        <Form
          label="Read a log"
          service="discovery"
          path="/v1/ct-logs"
          choices={{ start: STARTS, groups: useGroupChoices() }}
          what="Every publicly trusted certificate is in public logs: also that of the host nobody has told you about. Names under your suffixes are kept."
        />
      }
      load={(cursor) => data(discovery.GET("/v1/ct-logs", { params: { query: cursor ? { cursor } : {} } }))}
      rowKey={(each) => each.id}
      columns={[
        {
          title: "Log",
          cell: (each) => (
            <Anchor
              component={Link}
              to={`/ct-logs/${each.id}`}
              size="sm"
              display="block"
              miw={200}
              className="breaks"
            >
              {each.url}
            </Anchor>
          ),
        },
        { title: "Names under", cell: (each) => shortly(each.suffixes) },
        { title: "State", cell: (each) => <State of={each.state} /> },
        { title: "Read", width: 140, cell: (each) => <HowFar of={each} /> },
        { title: "Last read", cell: (each) => <When at={each.last_read_at} /> },
        { title: "", cell: (each) => <Changing of={each} /> },
      ]}
      empty={
        <Empty title="No log is read">
          Lists of logs, as browsers publish them, give the monitoring address and the key of each.
        </Empty>
      }
    />
  );
}

/** Return how much of the log is read, in hundredths; null before the first look. */
export function percentRead({ position, checkpoint_size: size }: CtLog): number | null {
  if (position === null) return null;
  return size === 0 ? 100 : Math.min(100, (position / size) * 100);
}

function HowFar({ of }: { of: CtLog }) {
  const percent = percentRead(of) ?? 0;
  return <Progress value={percent} aria-label={`${Math.floor(percent)} percent`} />;
}

/** Other suffixes hold from where the log stands; a log that is removed leaves its names. */
export function Changing({ of }: { of: CtLog }) {
  const ids = { log_id: of.id };
  const path = "/v1/ct-logs/{log_id}";
  return (
    <Group gap="xs" wrap="nowrap">
      <Form
        label="Change"
        variant="default"
        service="discovery"
        method="patch"
        path={path}
        ids={ids}
        initial={picked(of, ["suffixes", "groups"])}
        choices={{ groups: useGroupChoices() }}
        what="Names under other suffixes are kept from where the log stands."
      />
      <Remove what={`${of.url} is read no more; its names stay.`} service="discovery" path={path} ids={ids} />
    </Group>
  );
}
