import { Anchor, Group, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { data, inventory } from "../../api";
import { Card } from "../../parts/Card";
import { Standing } from "../../parts/Marks";
import { When } from "../../parts/When";

/** Its lineage: what came before it, and after. */
export function Lineage({ lineageId, shown }: { lineageId: string; shown: string }) {
  const asked = useQuery({
    queryKey: ["certificate", "lineage", lineageId],
    queryFn: () =>
      data(inventory.GET("/v1/lineages/{lineage_id}", { params: { path: { lineage_id: lineageId } } })),
  });
  if (!asked.data) {
    return null;
  }
  return (
    <Card title="Lineage">
      <Stack gap={4}>
        {asked.data.certificates.slice(0, 20).map((each) => (
          <Group key={each.fingerprint} justify="space-between" wrap="nowrap">
            <Anchor
              component={Link}
              to={`/certificates/${each.fingerprint}`}
              size="sm"
              className="mono"
              fw={each.fingerprint === shown ? 700 : 400}
              aria-current={each.fingerprint === shown ? "true" : undefined}
            >
              {each.fingerprint.slice(0, 16)}…
            </Anchor>
            <Group gap="xs" wrap="nowrap">
              <Text size="sm" component="span">
                <When at={each.not_after} />
              </Text>
              <Standing of={each} />
            </Group>
          </Group>
        ))}
      </Stack>
    </Card>
  );
}
