import { Stack } from "@mantine/core";
import { data, provisioner } from "../../api";
import { Empty } from "../../parts/Empty";
import { Form } from "../../parts/Form";
import { Listing } from "../../parts/Listing";
import { useScopes } from "../../parts/scopes";
import { Upkeep } from "../../parts/Upkeep";
import { When } from "../../parts/When";
import { lasting, plain } from "../../words";

/** When targets may be changed, and when they may not. */
export function WindowsAndFreezes() {
  return (
    <Stack>
      <Windows />
      <Freezes />
    </Stack>
  );
}

/** Return a time of the day without seconds that are none. */
function timeOf(start: string): string {
  return start.replace(/^(\d\d:\d\d):00$/, "$1");
}

function Windows() {
  const { choices, nameOf } = useScopes();
  return (
    <Listing
      label="Change windows"
      actions={<Form label="New window" service="provisioner" path="/v1/change-windows" choices={choices} />}
      queryKey={["windows"]}
      load={(cursor) =>
        data(provisioner.GET("/v1/change-windows", { params: { query: cursor ? { cursor } : {} } }))
      }
      rowKey={(each) => each.id}
      columns={[
        { title: "Window", cell: (each) => each.name },
        { title: "Of", cell: nameOf },
        {
          title: "When",
          cell: (each) =>
            each.weekly
              .map((slot) => `${plain(slot.day)} ${timeOf(slot.start)} for ${lasting(slot.duration)}`)
              .join("; "),
        },
        { title: "Zone", cell: (each) => each.time_zone },
        {
          title: "",
          cell: (each) => (
            <Upkeep
              of={each}
              service="provisioner"
              path="/v1/change-windows/{window_id}"
              ids={{ window_id: each.id }}
              fields={["name", "time_zone", "weekly"]}
              gone={`Targets of ${each.name} may be changed at any time, unless another window is for them.`}
            />
          ),
        },
      ]}
      empty={<Empty title="Targets are changed at any time">A change window says when they may be.</Empty>}
    />
  );
}

function Freezes() {
  const { choices, nameOf } = useScopes();
  return (
    <Listing
      label="Freezes"
      actions={<Form label="New freeze" service="provisioner" path="/v1/freezes" choices={choices} />}
      queryKey={["freezes"]}
      load={(cursor) => data(provisioner.GET("/v1/freezes", { params: { query: cursor ? { cursor } : {} } }))}
      rowKey={(each) => each.id}
      columns={[
        { title: "Why", cell: (each) => each.reason },
        { title: "Of", cell: nameOf },
        { title: "From", cell: (each) => <When at={each.starts_at} /> },
        { title: "Until", cell: (each) => <When at={each.ends_at} /> },
        {
          title: "",
          cell: (each) => (
            <Upkeep
              of={each}
              service="provisioner"
              path="/v1/freezes/{freeze_id}"
              ids={{ freeze_id: each.id }}
              fields={["reason", "starts_at", "ends_at"]}
              gone="What is frozen may be changed again."
            />
          ),
        },
      ]}
      empty={<Empty title="Nothing is frozen">A freeze keeps targets as they are for a time.</Empty>}
    />
  );
}
