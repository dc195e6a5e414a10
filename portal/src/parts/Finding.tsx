import { Group, Text } from "@mantine/core";
import type { ReactNode } from "react";
import { Severity } from "./Marks";

interface FindingProps {
  severity: string;
  /** The rule, as whoever has made it calls it. */
  rule: string;
  evidence: ReactNode;
  remedy: string | null;
  /** What can be done about it here. */
  children?: ReactNode;
}

/** A rule that is broken: by what that is seen, and how it is mended. */
export function Finding({ severity, rule, evidence, remedy, children }: FindingProps) {
  return (
    <div>
      <Group gap="xs">
        <Severity of={severity} />
        <Text size="sm" fw={600} className="breaks">
          {rule}
        </Text>
      </Group>
      <Text size="sm" component="div" className="folds">
        {evidence}
      </Text>
      {remedy ? (
        <Text size="sm" c="dimmed">
          {remedy}
        </Text>
      ) : null}
      {children}
    </div>
  );
}
