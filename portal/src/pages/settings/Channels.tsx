import { Alert } from "@mantine/core";
import { data, notifier } from "../../api";
import { useGroupChoices } from "../../parts/choices";
import { Empty } from "../../parts/Empty";
import { Form } from "../../parts/Form";
import { Listing } from "../../parts/Listing";
import { State } from "../../parts/Marks";
import { Upkeep } from "../../parts/Upkeep";
import { When } from "../../parts/When";
import { many, plain } from "../../words";

const KINDS = { path: "/v1/channel-kinds", parts: { options: "options", secrets: "secrets" } };

/** A channel hears of what happens once it is there: this tells it of what is open already. */
export function CatchUp({ id, name }: { id: string; name: string }) {
  return (
    <Form
      label="Tell what is open"
      variant="default"
      service="notifier"
      path="/v1/channels/{channel_id}/catch-up"
      ids={{ channel_id: id }}
      what={`${name} is told of the open alerts that it has heard nothing of: of those that its rules tell, and that nobody has acknowledged, put off or muted.`}
      shown={(told) => (
        <Alert color="teal" title={many(Number(told.count), "alert")}>
          {told.count ? "They are on their way." : "It has heard of all that is for it."}
        </Alert>
      )}
    />
  );
}

export function MakeChannel() {
  return (
    <Form
      label="New channel"
      service="notifier"
      path="/v1/channels"
      fields={["name", "kind", "options", "secrets", "groups"]}
      kinds={KINDS}
      choices={{ groups: useGroupChoices() }}
    />
  );
}

export function Channels() {
  const groups = useGroupChoices();
  return (
    <Listing
      label="Channels"
      queryKey={["channels"]}
      actions={<MakeChannel />}
      load={(cursor) => data(notifier.GET("/v1/channels", { params: { query: cursor ? { cursor } : {} } }))}
      rowKey={(each) => each.id}
      columns={[
        { title: "Channel", cell: (each) => each.name },
        { title: "Kind", cell: (each) => plain(each.kind) },
        {
          title: "State",
          cell: (each) => (
            <>
              <State of={each.enabled ? "enabled" : "off"} /> {each.disabled_because}
            </>
          ),
        },
        { title: "Changed", cell: (each) => <When at={each.updated_at} /> },
        {
          title: "",
          cell: (each) => (
            <Upkeep
              of={each}
              service="notifier"
              path="/v1/channels/{channel_id}"
              ids={{ channel_id: each.id }}
              fields={["name", "options", "secrets", "enabled", "groups"]}
              kinds={KINDS}
              kind={each.kind}
              choices={{ groups }}
              gone={`${each.name} tells nobody any more.`}
            >
              <SendTest id={each.id} name={each.name} />
              <CatchUp id={each.id} name={each.name} />
            </Upkeep>
          ),
        },
      ]}
      empty={
        <Empty title="Nobody is told">Make a channel: mail, a webhook, SNMP, chat or a ticket system.</Empty>
      }
    />
  );
}

function SendTest({ id, name }: { id: string; name: string }) {
  return (
    <Form
      label="Send a test"
      variant="default"
      service="notifier"
      path="/v1/channels/{channel_id}/test"
      ids={{ channel_id: id }}
      what={`A test goes through ${name} now.`}
      shown={(trial) => (
        <Alert
          color={trial.outcome === "delivered" ? "teal" : "red"}
          title={trial.outcome === "delivered" ? "It was delivered" : "It was not delivered"}
        >
          {String(trial.answer)}
        </Alert>
      )}
    />
  );
}
