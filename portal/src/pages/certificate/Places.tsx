import { Stack, Table, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { data, inventory } from "../../api";
import { Card } from "../../parts/Card";
import { When } from "../../parts/When";
import { Wide } from "../../parts/Wide";
import { many, plain } from "../../words";
import type { Report } from "../CertificatePage";

/** Where it is seen. */
export function Places({ known }: { known: Report }) {
  return (
    <Card title={many(known.place_count, "place")}>
      <Wide label="Places, one by one" minWidth={420}>
        <Table verticalSpacing={4}>
          <Table.Thead>
            <Table.Tr>
              <Table.Th scope="col">Where</Table.Th>
              <Table.Th scope="col">Name asked for</Table.Th>
              <Table.Th scope="col">Last seen</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {known.places.map((place) => (
              <Table.Tr key={place.id}>
                <Table.Td>
                  {place.path ?? `${place.address}:${place.port}`} {place.starttls}
                </Table.Td>
                <Table.Td>{place.server_name}</Table.Td>
                <Table.Td>
                  <When at={place.last_seen} />
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Wide>
    </Card>
  );
}

/** Where it is configured, beside whether it is served from there. */
export function Configured({ fingerprint }: { fingerprint: string }) {
  const asked = useQuery({
    queryKey: ["holdings", fingerprint],
    queryFn: () => data(inventory.GET("/v1/holdings", { params: { query: { fingerprint, limit: 50 } } })),
  });
  if (!asked.data || asked.data.items.length === 0) {
    return null;
  }
  return (
    <Card title="Where it is kept and configured">
      <Stack gap="sm">
        {asked.data.items.map((each) => (
          <div key={each.place.id}>
            <Text size="sm">
              {each.place.address} <span className="mono">{each.place.path}</span> ({plain(each.held.format)})
            </Text>
            {each.slots.map((slot, at) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: slots have no name, and their order is theirs
              <Text key={at} size="sm" c="dimmed">
                {slotSays(slot)}
              </Text>
            ))}
            {each.flaws.length ? <Text size="sm">{each.flaws.map(plain).join(", ")}</Text> : null}
          </div>
        ))}
      </Stack>
    </Card>
  );
}

function slotSays(slot: object): string {
  return Object.entries(slot)
    .filter(([, value]) => typeof value === "string" || typeof value === "number")
    .map(([name, value]) => `${plain(name)}: ${value}`)
    .join(", ");
}
