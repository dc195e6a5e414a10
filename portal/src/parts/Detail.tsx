import { Grid, Loader, Stack, Text, Timeline } from "@mantine/core";
import { type QueryKey, useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { Failure } from "./Failure";
import { Page } from "./Page";
import { When } from "./When";
import { Who } from "./Who";

interface DetailProps<Thing> {
  /** What it is called before it is known. */
  title: string;
  queryKey: QueryKey;
  load: () => Promise<Thing>;
  /** How often to look again, in milliseconds: for what is under way. */
  every?: number;
  children: (thing: Thing) => ReactNode;
}

/** A page about one thing: waits for it, and says what to do where it cannot be had. */
export function Detail<Thing>({ title, queryKey, load, every, children }: DetailProps<Thing>) {
  const asked = useQuery({ queryKey, queryFn: load, ...(every ? { refetchInterval: every } : {}) });
  if (asked.error) {
    return (
      <Page title={title}>
        <Failure error={asked.error} retry={() => asked.refetch()} />
      </Page>
    );
  }
  if (asked.data === undefined) {
    return (
      <Page title={title}>
        <Loader aria-label="Loading" />
      </Page>
    );
  }
  return children(asked.data);
}

/** Two columns, which are one below the other on a narrow screen. */
export function Halves({ left, right, wide = 6 }: { left: ReactNode; right: ReactNode; wide?: number }) {
  return (
    <Grid>
      <Grid.Col span={{ base: 12, md: wide }}>
        <Stack>{left}</Stack>
      </Grid.Col>
      <Grid.Col span={{ base: 12, md: 12 - wide }}>
        <Stack>{right}</Stack>
      </Grid.Col>
    </Grid>
  );
}

export interface Step {
  key: string;
  title: string;
  text: ReactNode;
  at: string;
  /** Who, where it was somebody. */
  by?: string | null;
  isBad?: boolean;
}

/** What happened, in its order. */
export function Happenings({ of }: { of: Step[] }) {
  return (
    <Timeline bulletSize={12} lineWidth={2}>
      {of.map((step) => (
        <Timeline.Item key={step.key} title={step.title} {...(step.isBad ? { color: "red" } : {})}>
          <Text size="sm" component="div" className="breaks">
            {step.text}
          </Text>
          <Text size="xs" c="dimmed" component="div">
            <When at={step.at} /> {step.by ? <Who id={step.by} /> : null}
          </Text>
        </Timeline.Item>
      ))}
    </Timeline>
  );
}
