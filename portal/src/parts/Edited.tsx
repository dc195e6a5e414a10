import { Group, Loader, Stack, Text } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { data, inventory } from "../api";
import { count, many } from "../words";
import { Failure } from "./Failure";

const OFTEN_MS = 500;

/** What becomes of an edit of many certificates, until it is over. */
export function Edited({ id }: { id: string }) {
  const known = useQueryClient();
  const asked = useQuery({
    queryKey: ["edit", id],
    queryFn: () => data(inventory.GET("/v1/edits/{edit_id}", { params: { path: { edit_id: id } } })),
    refetchInterval: ({ state }) => (state.data?.state === "done" ? false : OFTEN_MS),
  });
  const isOver = asked.data?.state === "done";
  useEffect(() => {
    if (isOver) {
      known.invalidateQueries({ queryKey: ["certificates"] });
    }
  }, [isOver, known]);
  if (asked.error) {
    return <Failure error={asked.error} />;
  }
  return (
    <Stack gap="xs" role="status">
      <Group gap="xs">
        {isOver ? null : <Loader size="xs" aria-label="Under way" />}
        <Text size="sm">
          {isOver ? "Changed" : "Changed so far"}: {many(asked.data?.changed ?? 0, "certificate")}
          {asked.data?.unchanged ? `; ${count(asked.data.unchanged)} were so already` : ""}.
        </Text>
      </Group>
      {Object.entries(asked.data?.reasons ?? {}).map(([reason, number]) => (
        <Text key={reason} size="sm" c="red">
          {many(number, "certificate")}: {reason}
        </Text>
      ))}
    </Stack>
  );
}
