import { Anchor, Group, Stack, Text } from "@mantine/core";
import { Link } from "react-router";
import { count } from "../words";

export interface Reached {
  key: string;
  label: string;
  to: string;
  /** How much it reaches; what it is drawn by. */
  size: number;
  /** What that is made of, in words. */
  says: string;
  isBad?: boolean;
}

const HEIGHT = 34;
const LEAST = 130;
const WIDTH = 560;
const HUB_X = 70;
const BAR_X = 190;

/** A map of what hangs on what: a line for each, as thick as it reaches far. Whoever cannot see it reads the list. */
export function Reach({ hub, of }: { hub: string; of: Reached[] }) {
  const widest = Math.max(...of.map((each) => each.size), 1);
  const height = Math.max(of.length * HEIGHT, LEAST);
  return (
    <Group align="center" gap={0} wrap="nowrap">
      <svg
        className="reach"
        viewBox={`0 0 ${BAR_X} ${height}`}
        width={BAR_X}
        height={height}
        aria-hidden="true"
        focusable="false"
      >
        {of.map((each, at) => {
          const y = (height - of.length * HEIGHT) / 2 + at * HEIGHT + HEIGHT / 2;
          return (
            <path
              key={each.key}
              d={`M ${HUB_X} ${height / 2} C ${HUB_X + 60} ${height / 2}, ${BAR_X - 70} ${y}, ${BAR_X} ${y}`}
              strokeWidth={1.5 + (each.size / widest) * 14}
              className={each.isBad ? "reach-bad" : "reach-line"}
            />
          );
        })}
        <circle cx={HUB_X} cy={height / 2} r={HUB_X - 10} className="reach-hub" />
        <text x={HUB_X} y={height / 2 + 5} textAnchor="middle" className="reach-text">
          {hub}
        </text>
      </svg>
      <Stack gap={0} miw={0} maw={WIDTH}>
        {of.map((each) => (
          <Group key={each.key} h={HEIGHT} gap="sm" wrap="nowrap">
            <Anchor component={Link} to={each.to} size="sm" truncate>
              {each.label}
            </Anchor>
            <Text size="sm" c="dimmed" className="nowrap">
              {each.says || count(each.size)}
            </Text>
          </Group>
        ))}
      </Stack>
    </Group>
  );
}
