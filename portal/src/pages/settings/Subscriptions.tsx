import { Alert, Code, Group, Text } from "@mantine/core";
import { data, notifier } from "../../api";
import type { components } from "../../contracts/notifier";
import { named, useGroupChoices } from "../../parts/choices";
import { Empty } from "../../parts/Empty";
import { Form, Remove } from "../../parts/Form";
import { Listing } from "../../parts/Listing";
import { State } from "../../parts/Marks";
import { Once } from "../../parts/Once";
import { many } from "../../words";

type Subscription = components["schemas"]["SubscriptionView"];

/** Programs that are told of events: they ask, are sent signed requests, or have a queue of their own. */
export function Subscriptions() {
  const groups = useGroupChoices();
  return (
    <Listing
      label="Subscriptions to events"
      queryKey={["subscriptions"]}
      actions={
        <Form
          label="New subscription"
          service="notifier"
          path="/v1/subscriptions"
          fields={["name", "way", "types", "names", "groups", "webhook"]}
          choices={{ groups }}
          shown={(made) => (
            <Begun credential={made.credential as Record<string, string>} id={String(made.id)} />
          )}
        />
      }
      load={(cursor) =>
        data(notifier.GET("/v1/subscriptions", { params: { query: cursor ? { cursor } : {} } }))
      }
      rowKey={(each) => each.id}
      columns={[
        { title: "Subscription", cell: (each) => each.name },
        {
          title: "How",
          cell: (each) => (
            <Text size="sm" className="breaks" miw={160}>
              {wayOf(each)}
            </Text>
          ),
        },
        { title: "Events", cell: (each) => each.types.join(", ") || "all" },
        {
          title: "About",
          cell: (each) =>
            [...each.names, named(each.groups, groups)].filter(Boolean).join(", ") || "everything",
        },
        { title: "State", cell: (each) => <Served of={each} /> },
        { title: "", cell: (each) => <Steering of={each} /> },
      ]}
      empty={
        <Empty title="No program listens">
          A CMDB, say, asks for what is new, is sent signed requests, or takes it from a queue of its own.
        </Empty>
      }
    />
  );
}

/** What the consumer needs from now on. */
function Begun({ credential, id }: { credential: Record<string, string>; id: string }) {
  return Object.keys(credential).length ? (
    <Once of={credential} />
  ) : (
    <Alert color="teal" title="It can ask from now on">
      With a token of its own: <Code>GET /notifier/v1/subscriptions/{id}/events</Code>
    </Alert>
  );
}

function wayOf({ way, options }: Subscription): string {
  return way === "webhook" ? `webhook to ${options.url}` : way;
}

function Served({ of }: { of: Subscription }) {
  return (
    <>
      <State of={of.state} />
      {of.failures ? (
        <Text size="sm" miw={160}>
          {many(of.failures, "failure")}: {of.last_error}
        </Text>
      ) : null}
    </>
  );
}

function Steering({ of }: { of: Subscription }) {
  const ids = { subscription_id: of.id };
  return (
    <Group gap="xs" wrap="nowrap">
      <Form
        label="Hand over again"
        variant="default"
        service="notifier"
        path="/v1/subscriptions/{subscription_id}/replay"
        ids={ids}
        what={`${of.name} is given once more what was kept since then, as far as it is for it.`}
      />
      <Remove
        what={`${of.name} is told nothing any more, and what waits for it is gone.`}
        service="notifier"
        path="/v1/subscriptions/{subscription_id}"
        ids={ids}
      />
    </Group>
  );
}
