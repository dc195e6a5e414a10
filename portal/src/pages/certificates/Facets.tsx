import { Anchor, Group, Paper, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { data, inventory } from "../../api";
import { named, useTeamChoices } from "../../parts/choices";
import { count } from "../../words";

const FACETS = ["urgency", "issuer", "key.type", "key.size", "owner", "place.port"];
const SHOWN = 6;

/** By what the certificates differ that a query finds: each value narrows it down. */
export function Facets({ query, ask }: { query: string; ask: (query: string) => void }) {
  const teams = useTeamChoices();
  const asked = useQuery({
    queryKey: ["certificates", "facets", query],
    queryFn: () =>
      data(
        inventory.GET("/v1/certificates/facets", {
          params: { query: { by: FACETS.join(","), limit: SHOWN, ...(query ? { query } : {}) } },
        }),
      ),
  });
  const facets = asked.data?.facets.filter((facet) => facet.buckets.length > 0) ?? [];
  if (facets.length === 0) {
    return null;
  }
  return (
    <Paper withBorder p="md" component="aside" aria-label="Narrow down">
      <Group align="flex-start" gap="lg">
        {facets.map((facet) => (
          <Stack key={facet.field} gap={2} w={{ base: "45%", lg: "100%" }}>
            <Text size="sm" fw={600}>
              {facet.field}
            </Text>
            {facet.buckets.map((bucket) => (
              <Group key={String(bucket.value)} justify="space-between" wrap="nowrap" gap="xs">
                <Anchor
                  component="button"
                  type="button"
                  size="sm"
                  truncate
                  title={String(bucket.value)}
                  onClick={() => ask(bucket.query)}
                >
                  {facet.field === "owner" ? named([String(bucket.value)], teams) : String(bucket.value)}
                </Anchor>
                <Text size="sm" c="dimmed">
                  {count(bucket.count)}
                </Text>
              </Group>
            ))}
          </Stack>
        ))}
      </Group>
    </Paper>
  );
}
