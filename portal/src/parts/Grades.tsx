import { Anchor, Group, Progress, Stack, Text } from "@mantine/core";
import { Link } from "react-router";
import { count } from "../words";

const COLOR: Record<string, string> = {
  "A+": "teal",
  A: "teal",
  "A-": "teal",
  B: "lime",
  C: "yellow",
  D: "orange",
  E: "orange",
  F: "red",
  T: "red",
  M: "red",
};
const ORDER = Object.keys(COLOR);

/** Places by letter. */
export function Grades({ of }: { of: Record<string, number> }) {
  const letters = ORDER.filter((letter) => of[letter]);
  const most = Math.max(...Object.values(of), 1);
  if (letters.length === 0) {
    return <Text size="sm">Nothing is judged yet: scan at depth full.</Text>;
  }
  return (
    <Stack gap={6}>
      {letters.map((letter) => (
        <Group key={letter} gap="sm" wrap="nowrap">
          <Anchor
            component={Link}
            to={`/certificates?query=${encodeURIComponent(`grade = "${letter}"`)}`}
            fw={700}
            w={28}
          >
            {letter}
          </Anchor>
          <Progress
            value={((of[letter] ?? 0) / most) * 100}
            color={COLOR[letter] ?? "gray"}
            flex={1}
            aria-label={`${count(of[letter] ?? 0)} places with ${letter}`}
          />
          <Text size="sm" w={64} ta="right">
            {count(of[letter] ?? 0)}
          </Text>
        </Group>
      ))}
    </Stack>
  );
}
