import { Button, MultiSelect, Stack, TagsInput, Text, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { data, inventory, notifier } from "../api";
import { useChannelChoices } from "./choices";
import { Dialog } from "./Dialog";
import { Failure } from "./Failure";

const THRESHOLDS = ["30d", "7d=critical"];

/** Have somebody told of what a query finds: a group of what it finds, and a rule for that group. */
export function TellMe({ query }: { query: string }) {
  return (
    <Dialog label="Alert me of these" variant="default">
      {(close) => <Telling query={query} done={close} />}
    </Dialog>
  );
}

function Telling({ query, done }: { query: string; done: () => void }) {
  const [name, setName] = useState("");
  const [through, setThrough] = useState<string[]>([]);
  const [thresholds, setThresholds] = useState(THRESHOLDS);
  const known = useQueryClient();
  const channels = useChannelChoices();
  const made = useMutation({
    mutationFn: async () => {
      const group = await data(
        inventory.POST("/v1/groups", {
          body: { name, description: "Made for an alert.", rule: query } as never,
        }),
      );
      const rule = {
        name,
        groups: [group.id],
        channels: through.length ? through : null,
        plan: { thresholds },
      };
      return data(notifier.POST("/v1/rules", { body: rule as never }));
    },
    onSuccess: async () => {
      done();
      await known.invalidateQueries();
    },
  });
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        made.mutate();
      }}
    >
      <Stack gap="sm">
        <Text size="sm">
          A group is made of what the query finds, now and later, and a rule that tells of whatever goes wrong
          in it.
        </Text>
        <Text size="sm" className="mono">
          {query}
        </Text>
        <TextInput
          label="Name"
          required
          data-autofocus
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
        />
        <MultiSelect
          label="Through"
          description="None chosen: through every channel."
          data={channels}
          value={through}
          onChange={setThrough}
        />
        <TagsInput
          label="So long before the end"
          description="As 30d; with =critical also how severe it is."
          acceptValueOnBlur
          value={thresholds}
          onChange={setThresholds}
        />
        {made.error ? <Failure error={made.error} /> : null}
        <Button type="submit" loading={made.isPending} disabled={!name.trim()}>
          Make the alert
        </Button>
      </Stack>
    </form>
  );
}
