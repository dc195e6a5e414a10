import { Alert, Button, Checkbox, Radio, Select, Stack, Text, Textarea } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { data, renewal } from "../../api";
import type { components } from "../../contracts/renewal";
import { Dialog } from "../../parts/Dialog";
import { Failure } from "../../parts/Failure";
import { many, nameOf } from "../../words";
import type { Report } from "../CertificatePage";

type Reason = components["schemas"]["RevocationReason"];
type Start = components["schemas"]["Start"];

/** Those of RFC 5280 §5.3.1, in plain words. */
const REASONS: Record<Reason, string> = {
  superseded: "superseded: another takes its place",
  keyCompromise: "key compromise: somebody else has its key, or may have",
  cessationOfOperation: "cessation of operation: what it was for is no more",
  affiliationChanged: "affiliation changed: its names or its owner are not ours any more",
  privilegeWithdrawn: "privilege withdrawn: it should not have been issued",
  cACompromise: "CA compromise: the key of its authority is in other hands",
  aACompromise: "AA compromise: the key of an attribute authority is in other hands",
  unspecified: "unspecified",
};
const LEAST_WHY = 3;

interface RevokeProps {
  known: Report;
  /** It waits for its replacement: what can be asked for is that it waits no longer. */
  isWaiting?: boolean;
}

/** Has it revoked, after it was said what that means. */
export function Revoke({ known, isWaiting = false }: RevokeProps) {
  return (
    <Dialog label={isWaiting ? "Revoke it now" : "Revoke"} color="red" variant="light">
      {(close) => <Asking known={known} isWaiting={isWaiting} done={close} />}
    </Dialog>
  );
}

function Asking({ known, isWaiting, done }: Required<RevokeProps> & { done: () => void }) {
  const [reason, setReason] = useState<Reason | null>(null);
  const [when, setWhen] = useState<Start>(isWaiting ? "now" : "after-replacement");
  const [why, setWhy] = useState("");
  const [isSure, setIsSure] = useState(false);
  const cache = useQueryClient();
  const asked = useMutation({
    mutationFn: (reason: Reason) =>
      data(
        renewal.POST("/v1/revocations", {
          body: { fingerprint: known.fingerprint, reason, when, why: why.trim() },
        }),
      ),
    onSuccess: async () => {
      done();
      await cache.invalidateQueries();
    },
  });
  const breaks = when === "now" && known.place_count > 0;
  const isReady = reason !== null && why.trim().length >= LEAST_WHY && (isSure || !breaks);
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (reason) asked.mutate(reason);
      }}
    >
      <Stack gap="sm">
        <Select
          label="Reason"
          description="Of RFC 5280: everybody who asks the authority reads it."
          required
          data={Object.entries(REASONS).map(([value, label]) => ({ value, label }))}
          value={reason}
          onChange={(chosen) => setReason(chosen as Reason | null)}
        />
        <Textarea
          label="Why"
          description="For the audit trail, and for whoever has to agree."
          required
          autosize
          minRows={2}
          value={why}
          onChange={(event) => setWhy(event.currentTarget.value)}
        />
        {isWaiting ? null : (
          <Radio.Group label="When" value={when} onChange={(chosen) => setWhen(chosen as Start)}>
            <Stack gap={6} mt={4}>
              <Radio value="after-replacement" label="Once another was seen in every place of it" />
              <Radio value="now" label="Now, whatever serves it" />
            </Stack>
          </Radio.Group>
        )}
        <Alert color={breaks ? "red" : "yellow"} variant="light" title="What will happen">
          {consequences(known, when, reason).map((each) => (
            <Text key={each} size="sm">
              {each}
            </Text>
          ))}
        </Alert>
        {breaks ? (
          <Checkbox
            label={`Revoke it although ${many(known.place_count, "place")} would break`}
            checked={isSure}
            onChange={(event) => setIsSure(event.currentTarget.checked)}
          />
        ) : null}
        {asked.error ? <Failure error={asked.error} /> : null}
        <Button type="submit" color="red.9" loading={asked.isPending} disabled={!isReady}>
          {when === "now" ? "Revoke it now" : "Revoke it once it is replaced"}
        </Button>
      </Stack>
    </form>
  );
}

/** Return what will happen, a sentence each. */
function consequences(known: Report, when: Start, reason: Reason | null): string[] {
  const name = nameOf(known);
  const where = many(known.place_count, "place");
  const said =
    when === "now"
      ? [
          `The authority of ${name} is asked to revoke it at once.`,
          known.place_count
            ? `It is at ${where}: clients that ask its authority refuse it there until another is put in place.`
            : "No place is known that has it.",
        ]
      : [
          known.place_count
            ? `Nothing yet: it is at ${where}.`
            : "Nothing yet: it waits until it is known to be replaced.",
          `When another was seen in every place of ${name}, its authority is asked to revoke it, and nothing breaks.`,
        ];
  if (when === "after-replacement" && reason === "keyCompromise") {
    said.push("Until then whoever has its key can pass for it.");
  }
  return [...said, "What is revoked stays revoked: it cannot be undone."];
}
