import { ActionIcon, Button, Grid, Group, Paper, Stack, Text } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { data, inventory } from "../api";
import { Failure } from "./Failure";

export interface Widget {
  id: string;
  title: string;
  /** In twelfths, as it comes. */
  width: number;
  show: () => ReactNode;
}

interface Placed {
  id: string;
  width: number;
  is_hidden: boolean;
}

const WIDTHS = [4, 6, 8, 12];

/** Return all widgets in somebody's order; what they have not placed yet comes where it comes by itself, at the end. */
function placed(widgets: Widget[], kept: Placed[]): Placed[] {
  const known = kept.filter((each) => widgets.some((widget) => widget.id === each.id));
  const others = widgets.filter((widget) => !known.some((each) => each.id === widget.id));
  return [...known, ...others.map(({ id, width }) => ({ id, width, is_hidden: false }))];
}

/** Widgets as whoever is signed in has arranged them, and a way to arrange them otherwise. */
export function Arranged({ name, widgets }: { name: string; widgets: Widget[] }) {
  const [draft, setDraft] = useState<Placed[] | null>(null);
  const known = useQueryClient();
  const path = { params: { path: { name } } };
  const asked = useQuery({
    queryKey: ["arrangement", name],
    queryFn: () => data(inventory.GET("/v1/arrangements/{name}", path)),
  });
  const kept = useMutation({
    mutationFn: (cards: Placed[]) =>
      data(inventory.PUT("/v1/arrangements/{name}", { ...path, body: { cards } })),
    onSuccess: async () => {
      await known.invalidateQueries({ queryKey: ["arrangement", name] });
      setDraft(null);
    },
  });
  const shown = draft ?? placed(widgets, (asked.data?.cards ?? []) as Placed[]);
  const change = (id: string, other: Partial<Placed>) =>
    setDraft(shown.map((each) => (each.id === id ? { ...each, ...other } : each)));
  const move = (at: number, by: number) => {
    const next = [...shown];
    const [taken] = next.splice(at, 1);
    if (taken) next.splice(at + by, 0, taken);
    setDraft(next);
  };
  const titleOf = (id: string) => widgets.find((each) => each.id === id)?.title ?? id;
  return (
    <Stack>
      <Group justify="flex-end" gap="xs">
        {draft ? (
          <>
            <Button size="xs" loading={kept.isPending} onClick={() => kept.mutate(draft)}>
              Keep it so
            </Button>
            <Button size="xs" variant="default" onClick={() => kept.mutate([])}>
              As it comes
            </Button>
            <Button size="xs" variant="default" onClick={() => setDraft(null)}>
              Cancel
            </Button>
          </>
        ) : (
          <Button size="xs" variant="default" disabled={!asked.data} onClick={() => setDraft(shown)}>
            Arrange
          </Button>
        )}
      </Group>
      {kept.error ? <Failure error={kept.error} /> : null}
      <Grid>
        {shown.map((each, at) =>
          each.is_hidden && !draft ? null : (
            <Grid.Col key={each.id} span={{ base: 12, md: each.width }} data-widget={each.id}>
              {draft ? (
                <Paper withBorder p="xs" mb={4}>
                  <Group gap={4} justify="space-between">
                    <Text size="sm">{titleOf(each.id)}</Text>
                    <Group gap={4}>
                      <Nudge
                        label={`${titleOf(each.id)}: earlier`}
                        sign="←"
                        isOff={at === 0}
                        go={() => move(at, -1)}
                      />
                      <Nudge
                        label={`${titleOf(each.id)}: later`}
                        sign="→"
                        isOff={at === shown.length - 1}
                        go={() => move(at, 1)}
                      />
                      <Nudge
                        label={`${titleOf(each.id)}: other width`}
                        sign="↔"
                        go={() => change(each.id, { width: nextWidth(each.width) })}
                      />
                      <Nudge
                        label={`${titleOf(each.id)}: ${each.is_hidden ? "show" : "hide"}`}
                        sign={each.is_hidden ? "+" : "×"}
                        go={() => change(each.id, { is_hidden: !each.is_hidden })}
                      />
                    </Group>
                  </Group>
                </Paper>
              ) : null}
              {each.is_hidden ? null : widgets.find((widget) => widget.id === each.id)?.show()}
            </Grid.Col>
          ),
        )}
      </Grid>
    </Stack>
  );
}

function nextWidth(width: number): number {
  return WIDTHS.find((each) => each > width) ?? WIDTHS[0] ?? width;
}

function Nudge({
  label,
  sign,
  isOff = false,
  go,
}: {
  label: string;
  sign: string;
  isOff?: boolean;
  go: () => void;
}) {
  return (
    <ActionIcon variant="default" size="sm" aria-label={label} disabled={isOff} onClick={go}>
      <span aria-hidden="true">{sign}</span>
    </ActionIcon>
  );
}
