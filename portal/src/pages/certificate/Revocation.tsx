import { Anchor, Group, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { data, inventory, Refusal, renewal } from "../../api";
import type { components } from "../../contracts/renewal";
import { Act } from "../../parts/Act";
import { Card } from "../../parts/Card";
import { Happenings } from "../../parts/Detail";
import { Facts } from "../../parts/Facts";
import { Failure } from "../../parts/Failure";
import { State } from "../../parts/Marks";
import { When } from "../../parts/When";
import { Who } from "../../parts/Who";
import { plain } from "../../words";
import type { Report } from "../CertificatePage";
import { Revoke } from "./Revoke";

type Revoking = components["schemas"]["RevocationReport"];

const UNDER_WAY = ["pending", "revoked", "awaiting_approval"];
const OFTEN_MS = 3_000;
const RETRIED = ["failed", "unconfirmed"];

/** What its authority says of it, and what becomes of having it revoked here. */
export function Revocation({ known }: { known: Report }) {
  const { fingerprint } = known;
  const revoking = useQuery({
    queryKey: ["revocation", fingerprint],
    queryFn: () => revocationOf(fingerprint),
    refetchInterval: ({ state }) => (UNDER_WAY.includes(state.data?.state ?? "") ? OFTEN_MS : 10 * OFTEN_MS),
  });
  const isOurs = useQuery({
    queryKey: ["orders", "of", fingerprint],
    queryFn: () => isObtainedHere(known),
    staleTime: Number.POSITIVE_INFINITY,
  });
  const hasEnded = known.not_after !== null && Date.parse(known.not_after) <= Date.now();
  const isOffered = isOurs.data && !hasEnded && revoking.data === null;
  return (
    <Card title="Revocation" aside={isOffered ? <Revoke known={known} /> : null}>
      {revoking.error ? <Failure error={revoking.error} /> : null}
      <Stack gap="md">
        <Word fingerprint={fingerprint} />
        {isOurs.data === false ? (
          <Text size="sm" c="dimmed">
            It was not obtained here: whoever has issued it revokes it.
          </Text>
        ) : null}
        {revoking.data ? <UnderWay of={revoking.data} known={known} /> : null}
      </Stack>
    </Card>
  );
}

/** Return the revocation that was asked for here, with its steps; null where none was. */
async function revocationOf(fingerprint: string): Promise<Revoking | null> {
  const listed = await data(renewal.GET("/v1/revocations", { params: { query: { fingerprint } } }));
  const [found] = listed.items;
  if (!found) return null;
  const path = { revocation_id: found.id };
  return data(renewal.GET("/v1/revocations/{revocation_id}", { params: { path } }));
}

/** Return whether an order of its lineage has obtained it: only such a one can be revoked from here. */
async function isObtainedHere({ lineage_id, fingerprint }: Report): Promise<boolean> {
  const orders = await data(renewal.GET("/v1/orders", { params: { query: { lineage_id, limit: 1000 } } }));
  return orders.items.some((each) => each.fingerprint === fingerprint);
}

/** What its authority says, as it was last asked. */
function Word({ fingerprint }: { fingerprint: string }) {
  const asked = useQuery({
    queryKey: ["certificate", "revocation", fingerprint],
    queryFn: () =>
      data(inventory.GET("/v1/certificates/{fingerprint}/revocation", { params: { path: { fingerprint } } })),
  });
  if (asked.error instanceof Refusal && asked.error.status === 404) {
    return (
      <Text size="sm">
        {asked.error.detail} {asked.error.nextStep}
      </Text>
    );
  }
  if (asked.error) {
    return <Failure error={asked.error} />;
  }
  if (!asked.data) {
    return null;
  }
  const word = asked.data;
  return (
    <Facts
      of={{
        "Its authority says": word.state ? <State of={word.state} /> : "nothing yet: nobody has asked",
        "Revoked at": word.revoked_at && <When at={word.revoked_at} />,
        Reason: word.reason,
        "As was seen by": word.evidence,
        Asked: word.checked_at && (
          <>
            <When at={word.checked_at} /> {word.url ? <span className="mono">{word.url}</span> : null}
          </>
        ),
        "Asked again": word.due_at && <When at={word.due_at} />,
      }}
    />
  );
}

function UnderWay({ of, known }: { of: Revoking; known: Report }) {
  const path = { revocation_id: of.id };
  return (
    <Stack gap="sm">
      <Group gap="xs">
        <State of={of.state} />
        <Text size="sm" component="span">
          {SAYS[of.state]}
        </Text>
      </Group>
      <Facts
        of={{
          "Asked by": <Who id={of.created_by} />,
          Reason: of.reason,
          Why: of.explanation,
          "Authority’s word": of.revoked_at && <When at={of.revoked_at} />,
          "Seen to hold": of.confirmed_at && (
            <>
              <When at={of.confirmed_at} /> {of.confirmed_by}
            </>
          ),
          "What went wrong": of.last_error,
          "Next step": of.next_step,
          "Tried again": of.next_attempt_at && <When at={of.next_attempt_at} />,
        }}
      />
      <Group gap="xs">
        {of.state === "awaiting_replacement" ? <Revoke known={known} isWaiting /> : null}
        {of.state === "awaiting_approval" ? (
          <Anchor component={Link} to="/approvals" size="sm">
            Approvals
          </Anchor>
        ) : null}
        {RETRIED.includes(of.state) ? (
          <Act
            label="Try again"
            variant="default"
            what={`${of.authority} is asked again at once, and it is looked whether it holds.`}
            run={() => data(renewal.POST("/v1/revocations/{revocation_id}/retry", { params: { path } }))}
          />
        ) : null}
      </Group>
      <Happenings
        of={of.steps.map((step) => ({
          key: `${step.at} ${step.step}`,
          title: plain(step.step),
          text: step.text,
          at: step.at,
          isBad: step.step === "failed",
        }))}
      />
    </Stack>
  );
}

const SAYS: Record<Revoking["state"], string> = {
  awaiting_replacement: "It is revoked once another was seen in every place of it.",
  awaiting_approval: "Somebody else has to agree first.",
  pending: "Its authority is asked to revoke it.",
  revoked: "Its authority has taken it; that clients hear of it was not seen yet.",
  confirmed: "It is revoked, and its authority was seen to say so.",
  unconfirmed: "Its authority has taken it, and nobody says so to clients.",
  failed: "It is not revoked.",
};
