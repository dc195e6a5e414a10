import { Autocomplete, Group, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { data, inventory, Refusal } from "../api";

const TOKEN = /[^\s()]*$/;

interface QueryBoxProps {
  value: string;
  onAsk: (query: string) => void;
  refusal?: unknown;
}

/** The query language's box: completes fields and their choices; a refusal is shown with the column it is at. */
export function QueryBox({ value, onAsk, refusal }: QueryBoxProps) {
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  const fields = useQuery({
    queryKey: ["query-fields"],
    queryFn: () => data(inventory.GET("/v1/query-fields")),
    staleTime: Number.POSITIVE_INFINITY,
    refetchInterval: false,
  });
  const begun = TOKEN.exec(text)?.[0] ?? "";
  const before = text.slice(0, text.length - begun.length);
  const field = /([\w.]+)\s*(?:=|!=)\s*$/.exec(before)?.[1];
  const choices = fields.data?.items.find((each) => each.name === field)?.choices;
  const words = choices?.length ? choices : (fields.data?.items.map((each) => each.name) ?? []);
  const completions = begun || choices?.length ? words.filter((word) => word.startsWith(begun)) : [];
  return (
    <search>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          onAsk(text.trim());
        }}
      >
        <Autocomplete
          aria-label="Query"
          placeholder="expires < 30d and key.type = rsa and not owner"
          value={text}
          onChange={setText}
          onOptionSubmit={(chosen) => setText(chosen)}
          data={completions.slice(0, 12).map((word) => `${before}${word}`)}
          filter={({ options }) => options}
          comboboxProps={{ shadow: "md" }}
          styles={{ input: { fontFamily: "var(--mantine-font-family-monospace)" } }}
          error={refusal instanceof Refusal && refusal.status < 500 ? refusal.detail : null}
        />
        <Group justify="space-between" mt={4}>
          <Text size="xs" c="dimmed">
            Enter asks. Fields, operators, <code>and</code>, <code>or</code>, <code>not</code>, brackets.
          </Text>
        </Group>
      </form>
    </search>
  );
}
