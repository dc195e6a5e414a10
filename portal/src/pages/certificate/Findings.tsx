import { Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { data, inventory } from "../../api";
import { Card } from "../../parts/Card";
import { Failure } from "../../parts/Failure";
import { Finding } from "../../parts/Finding";

/** What is wrong with the certificate itself, wherever it is. */
export function Findings({ fingerprint }: { fingerprint: string }) {
  const asked = useQuery({
    queryKey: ["findings", fingerprint],
    queryFn: () =>
      data(inventory.GET("/v1/certificates/{fingerprint}/findings", { params: { path: { fingerprint } } })),
  });
  const found = asked.data?.findings;
  return (
    <Card title="Findings">
      {asked.error ? <Failure error={asked.error} /> : null}
      {found?.length === 0 ? <Text size="sm">It breaks no rule that was looked at.</Text> : null}
      <Stack gap="sm">
        {found?.map((each) => (
          <Finding key={each.rule} {...each} />
        ))}
      </Stack>
    </Card>
  );
}
