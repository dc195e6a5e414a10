import { Anchor, Group, Select, Stack, Text } from "@mantine/core";
import { useState } from "react";
import { Link } from "react-router";
import { data, inventory } from "../api";
import type { components } from "../contracts/inventory";
import { Act } from "../parts/Act";
import { CertificateName } from "../parts/CertificateName";
import { named, useGroupChoices } from "../parts/choices";
import { Empty } from "../parts/Empty";
import { Listing } from "../parts/Listing";
import { State } from "../parts/Marks";
import { Page } from "../parts/Page";
import { PlaceName } from "../parts/PlaceName";
import { When } from "../parts/When";
import { useMe } from "../parts/Who";
import { askedFor, quoted } from "../words";

type Exception = components["schemas"]["ExceptionView"];
type ExceptionState = components["schemas"]["ExceptionState"];

const STATES: ExceptionState[] = ["requested", "approved", "refused", "withdrawn"];

/** What is let pass, for whom, until when, and on whose word. */
export function Exceptions() {
  const [state, setState] = useState<ExceptionState | null>(null);
  return (
    <Page
      title="Exceptions"
      lead="Rules that may be broken for a while. Somebody asks, somebody else approves, and each ends by itself."
    >
      <Stack>
        <Group>
          <Select
            aria-label="State"
            placeholder="any state"
            clearable
            value={state}
            onChange={(value) => setState(value as ExceptionState | null)}
            data={STATES}
          />
        </Group>
        <Listing
          label="Exceptions"
          queryKey={["exceptions", state]}
          load={(cursor) =>
            data(
              inventory.GET("/v1/exceptions", {
                params: { query: { ...(state ? { state } : {}), ...(cursor ? { cursor } : {}) } },
              }),
            )
          }
          rowKey={(each) => each.id}
          columns={[
            { title: "Rule", cell: (each) => <Rule of={each} /> },
            { title: "For", cell: (each) => <Scope of={each} /> },
            {
              title: "Reason",
              cell: (each) => (
                <Text size="sm" miw={180} className="breaks">
                  {each.reason}
                </Text>
              ),
            },
            { title: "State", cell: (each) => <State of={hasEnded(each) ? "ended" : each.state} /> },
            { title: "Ends", cell: (each) => <When at={each.ends_at} /> },
            {
              title: "Asked by",
              cell: (each) => <Word by={each.requested_by_name} at={each.requested_at} />,
            },
            {
              title: "Decided by",
              cell: (each) => <Word by={each.decided_by_name} at={each.decided_at} />,
            },
            { title: "", cell: (each) => <Deciding of={each} /> },
          ]}
          empty={
            <Empty title={state ? "There is none in this state" : "Nothing is let pass"}>
              An exception is asked for on a certificate’s page, under Rules, where a policy is broken.
            </Empty>
          }
        />
      </Stack>
    </Page>
  );
}

function hasEnded(of: Exception): boolean {
  return of.state === "approved" && Date.parse(of.ends_at) <= Date.now();
}

function Rule({ of }: { of: Exception }) {
  return (
    <>
      <Text size="sm" className="nowrap">
        {of.rule_id}
      </Text>
      <Text size="xs" c="dimmed">
        {of.policy_id}
      </Text>
    </>
  );
}

function Word({ by, at }: { by: string | null; at: string | null }) {
  return by ? (
    <>
      <Text size="sm">{by}</Text>
      <Text size="xs" c="dimmed" component="div">
        <When at={at} />
      </Text>
    </>
  ) : null;
}

/** For whom: a link where there is something to look at. */
function Scope({ of: { scope } }: { of: Exception }) {
  const groups = useGroupChoices();
  switch (scope.kind) {
    case "certificate":
      return (
        <Anchor component={Link} to={`/certificates/${scope.value}?section=rules`} size="sm">
          <CertificateName query={`fingerprint = ${quoted(scope.value)}`} id={scope.value} />
        </Anchor>
      );
    case "place":
      return <PlaceName id={scope.value} />;
    case "group":
      return (
        <Anchor component={Link} to={askedFor(`group = ${quoted(scope.value)}`)} size="sm">
          {named([scope.value], groups)}
        </Anchor>
      );
    case "query":
      return (
        <Anchor component={Link} to={askedFor(scope.value)} size="sm" className="mono">
          {scope.value}
        </Anchor>
      );
  }
}

/** What can be said about it: who has asked never decides, and may take it back. */
function Deciding({ of }: { of: Exception }) {
  const me = useMe();
  // What was changed since it was read is not decided about.
  const params = { path: { exception_id: of.id }, header: { "If-Match": `"${of.version}"` } };
  const isOpen = of.state === "requested";
  const isStanding = isOpen || (of.state === "approved" && !hasEnded(of));
  return (
    <Group gap="xs" wrap="nowrap">
      {isOpen && me && me.id !== of.requested_by ? (
        <>
          <Act
            label="Approve"
            what={`That ${of.rule_id} of ${of.policy_id} is broken is let pass there until the exception ends. ${of.requested_by_name} has asked: ${of.reason}`}
            run={() => data(inventory.POST("/v1/exceptions/{exception_id}/approve", { params }))}
          />
          <Act
            label="Refuse"
            variant="default"
            what="The rule counts as broken as before; whoever has asked may ask anew."
            run={() => data(inventory.POST("/v1/exceptions/{exception_id}/refuse", { params }))}
          />
        </>
      ) : null}
      {isStanding ? (
        <Act
          label="Withdraw"
          color="red"
          variant="light"
          what={
            isOpen
              ? "It is asked for no more."
              : "It ends now: the failure counts again, and is told again to whom it concerns."
          }
          run={() => data(inventory.POST("/v1/exceptions/{exception_id}/withdraw", { params }))}
        />
      ) : null}
    </Group>
  );
}
