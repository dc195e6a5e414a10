import { Group, RingProgress, Text } from "@mantine/core";
import { count } from "../words";

/** A part of a whole. */
export function Share({ part, whole, label }: { part: number; whole: number; label: string }) {
  const percent = whole === 0 ? 0 : Math.floor((part / whole) * 100);
  return (
    <Group wrap="nowrap">
      <RingProgress
        size={96}
        thickness={10}
        roundCaps
        sections={[{ value: percent, color: "teal" }]}
        label={
          <Text ta="center" fw={700}>
            {percent} %
          </Text>
        }
      />
      <Text size="sm">
        {count(part)} of {count(whole)}: {percent} % {label}.
      </Text>
    </Group>
  );
}
