import { Code, Group, Stack, Text } from "@mantine/core";
import { useState } from "react";
import { type Service, send } from "../api";
import type { components } from "../contracts/inventory";
import { Act } from "../parts/Act";
import { Card } from "../parts/Card";
import { Listing } from "../parts/Listing";
import { Page } from "../parts/Page";
import { When } from "../parts/When";
import { many } from "../words";

/** Every service has the same routes for its own. */
type Letters = components["schemas"]["DeadLetters"];
type Letter = components["schemas"]["DeadLetterView"];

const SERVICES: Service[] = ["discovery", "inventory", "renewal", "provisioner", "notifier"];
const PATH = "/v1/dead-letters";

/** Events that a service has tried and given up: they are kept until somebody has them tried again, or throws them away. */
export function DeadLetters() {
  return (
    <Page
      title="Dead letters"
      lead="Events that a service could not work off: what they would have led to has not happened."
      actions={
        <Act
          label="Try all again"
          variant="default"
          what="Every service tries again all that it has given up. What fails again comes back here."
          run={() =>
            Promise.all(SERVICES.map((service) => send(service, "post", `${PATH}/redrive`, { body: {} })))
          }
        />
      }
    >
      <Stack>
        {SERVICES.map((service) => (
          <OfService key={service} service={service} />
        ))}
      </Stack>
    </Page>
  );
}

function OfService({ service }: { service: Service }) {
  const [keys, choose] = useState<string[]>([]);
  return (
    <Card title={service}>
      <Listing
        label={`Dead letters of ${service}`}
        queryKey={["dead-letters", service]}
        actions={keys.length ? <OfChosen service={service} ids={keys} onDone={() => choose([])} /> : null}
        chosen={{ keys, choose }}
        load={async () => (await send(service, "get", PATH, { query: { limit: 100 } })) as Letters}
        rowKey={(each) => each.id}
        columns={[
          { title: "Event", cell: (each) => each.type },
          { title: "Why it was given up", cell: (each) => <Reason of={each} /> },
          { title: "Tried", cell: (each) => <span className="nowrap">{many(each.attempts, "time")}</span> },
          { title: "Given up", cell: (each) => <When at={each.died_at} /> },
        ]}
        empty={
          <Text size="sm" c="dimmed" p="sm">
            None: all that {service} was told of is worked off, or still being tried.
          </Text>
        }
      />
    </Card>
  );
}

interface OfChosenProps {
  service: Service;
  ids: string[];
  onDone: () => void;
}

function OfChosen({ service, ids, onDone }: OfChosenProps) {
  const move = (verb: "redrive" | "discard") => async () => {
    await send(service, "post", `${PATH}/${verb}`, { body: { ids } });
    onDone();
  };
  return (
    <Group gap="xs">
      <Text size="sm">{many(ids.length, "chosen", "chosen")}</Text>
      <Act
        label="Try again"
        variant="default"
        what={`${service} tries what was chosen again. What fails again comes back here.`}
        run={move("redrive")}
      />
      <Act
        label="Throw away"
        color="red"
        variant="light"
        what="What was chosen is gone, and never happens."
        run={move("discard")}
      />
    </Group>
  );
}

function Reason({ of }: { of: Letter }) {
  return (
    <>
      <Text size="sm" className="breaks" lineClamp={2}>
        {of.reason}
      </Text>
      <details>
        <summary>all of it, and the event</summary>
        <Text size="sm" className="breaks" my="xs">
          {of.reason}
        </Text>
        <Code block className="folds">
          {of.body}
        </Code>
      </details>
    </>
  );
}
