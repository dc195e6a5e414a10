import { Button, Select, Stack, Text, Textarea, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { data, inventory } from "../api";
import type { components } from "../contracts/inventory";
import type { Choice } from "./choices";
import { Dialog } from "./Dialog";
import { Failure } from "./Failure";

type Kind = components["schemas"]["ScopeKind"];

/** What breaks a rule, and what an exception from it could be for. */
export interface Breach {
  policy: string;
  rule: string;
  title: string;
  fingerprint: string;
  places: Choice[];
  groups: Choice[];
}

const DAY_MS = 86_400_000;
/** The contract takes no end that is more than 366 days ahead, and the day that is chosen counts as a whole. */
const LONGEST_DAYS = 364;
const USUAL_DAYS = 90;
const LEAST_REASON = 10;

/** Return the day that it is so many days from now, where whoever asks is. */
function dayIn(days: number): string {
  const at = new Date(Date.now() + days * DAY_MS);
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 10);
}

export function AskException({ of }: { of: Breach }) {
  return (
    <Dialog label="Ask for an exception" variant="default">
      {(close) => <Asking of={of} done={close} />}
    </Dialog>
  );
}

function Asking({ of, done }: { of: Breach; done: () => void }) {
  const [kind, setKind] = useState<Kind>("certificate");
  const [value, setValue] = useState("");
  const [reason, setReason] = useState("");
  const [day, setDay] = useState(dayIn(USUAL_DAYS));
  const known = useQueryClient();
  const asked = useMutation({
    mutationFn: () =>
      data(
        inventory.POST("/v1/exceptions", {
          body: {
            policy_id: of.policy,
            rule_id: of.rule,
            scope: { kind, value: kind === "certificate" ? of.fingerprint : value },
            reason: reason.trim(),
            ends_at: new Date(`${day}T23:59:59`).toISOString(),
          },
        }),
      ),
    onSuccess: async () => {
      done();
      await known.invalidateQueries();
    },
  });
  const scopes: { value: Kind; label: string; disabled?: boolean }[] = [
    { value: "certificate", label: "this certificate, wherever it is" },
    { value: "place", label: "one place, whatever it serves", disabled: of.places.length === 0 },
    { value: "group", label: "a group that it is in", disabled: of.groups.length === 0 },
    { value: "query", label: "all that a query finds, now and later" },
  ];
  const isReady = (kind === "certificate" || value.trim() !== "") && reason.trim().length >= LEAST_REASON;
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        asked.mutate();
      }}
    >
      <Stack gap="sm">
        <Text size="sm">
          {of.title}: that it is broken is let pass until the exception ends, once somebody else has approved
          it.
        </Text>
        <Select
          label="For"
          data={scopes}
          value={kind}
          allowDeselect={false}
          onChange={(chosen) => {
            setKind(chosen as Kind);
            setValue("");
          }}
        />
        {kind === "place" || kind === "group" ? (
          <Select
            label={kind === "place" ? "Place" : "Group"}
            required
            searchable
            data={kind === "place" ? of.places : of.groups}
            value={value || null}
            onChange={(chosen) => setValue(chosen ?? "")}
          />
        ) : null}
        {kind === "query" ? (
          <TextInput
            label="Query"
            required
            value={value}
            onChange={(event) => setValue(event.currentTarget.value)}
          />
        ) : null}
        <Textarea
          label="Reason"
          description="Why it cannot be mended sooner, and what will: whoever approves it reads this."
          required
          autosize
          minRows={2}
          value={reason}
          onChange={(event) => setReason(event.currentTarget.value)}
        />
        <TextInput
          label="Until"
          description="The end of this day, at most a year ahead. Then the failure counts again."
          type="date"
          required
          min={dayIn(0)}
          max={dayIn(LONGEST_DAYS)}
          styles={{ wrapper: { maxWidth: 220 } }}
          value={day}
          onChange={(event) => setDay(event.currentTarget.value)}
        />
        {asked.error ? <Failure error={asked.error} /> : null}
        <Button type="submit" loading={asked.isPending} disabled={!isReady || !day}>
          Ask for it
        </Button>
      </Stack>
    </form>
  );
}
