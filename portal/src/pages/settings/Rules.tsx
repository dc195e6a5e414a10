import { data, notifier } from "../../api";
import { named, useChannelChoices, useGroupChoices } from "../../parts/choices";
import { Empty } from "../../parts/Empty";
import { Form } from "../../parts/Form";
import { Listing } from "../../parts/Listing";
import { Upkeep } from "../../parts/Upkeep";
import { plain } from "../../words";

const TELLING = ["name", "min_severity", "problems", "channels", "groups", "plan"];

export function Rules() {
  const choices = { channels: useChannelChoices(), groups: useGroupChoices() };
  return (
    <Listing
      label="Rules of who is told"
      queryKey={["rules"]}
      actions={
        <Form label="New rule" service="notifier" path="/v1/rules" fields={TELLING} choices={choices} />
      }
      load={(cursor) => data(notifier.GET("/v1/rules", { params: { query: cursor ? { cursor } : {} } }))}
      rowKey={(each) => each.id}
      columns={[
        { title: "Rule", cell: (each) => each.name },
        { title: "From", cell: (each) => plain(each.min_severity) },
        { title: "Problems", cell: (each) => each.problems.map(plain).join(", ") || "all" },
        {
          title: "Through",
          cell: (each) => (each.channels === null ? "all channels" : named(each.channels, choices.channels)),
        },
        { title: "Groups", cell: (each) => named(each.groups, choices.groups) || "all" },
        {
          title: "",
          cell: (each) => (
            <Upkeep
              of={each}
              service="notifier"
              path="/v1/rules/{rule_id}"
              ids={{ rule_id: each.id }}
              fields={TELLING}
              choices={choices}
              gone={`Nobody is told by ${each.name} any more.`}
            />
          ),
        },
      ]}
      empty={
        <Empty title="Nobody is told anything">
          A rule says who is told of what, from which severity on, and what if nobody answers.
        </Empty>
      }
    />
  );
}
