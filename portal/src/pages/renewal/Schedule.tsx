import { Anchor, Text } from "@mantine/core";
import { Link } from "react-router";
import { data, renewal } from "../../api";
import { Empty } from "../../parts/Empty";
import { Listing } from "../../parts/Listing";
import { When } from "../../parts/When";
import { plain, REASON, shortly } from "../../words";

const UNKNOWN = "not known yet";

export function Schedule() {
  return (
    <Listing
      label="Renewals to come"
      queryKey={["schedules"]}
      load={(cursor) => data(renewal.GET("/v1/schedules", { params: { query: cursor ? { cursor } : {} } }))}
      rowKey={(each) => each.lineage_id}
      columns={[
        {
          title: "Lineage",
          cell: (each) => {
            const names = shortly(each.names ?? []) || UNKNOWN;
            return each.fingerprint ? (
              <Anchor component={Link} to={`/certificates/${each.fingerprint}`} size="sm">
                {names}
              </Anchor>
            ) : (
              names
            );
          },
        },
        { title: "Renewed", cell: (each) => <When at={each.renew_at} none={UNKNOWN} /> },
        {
          title: "Because",
          cell: (each) => (
            <Text size="sm" title={each.because ?? undefined}>
              {REASON[each.reason] ?? plain(each.reason)}
            </Text>
          ),
        },
        { title: "Ends", cell: (each) => <When at={each.not_after} none={UNKNOWN} /> },
        { title: "Issuer", cell: (each) => each.issuer },
      ]}
      empty={
        <Empty title="Nothing is renewed by itself yet">
          Open a{" "}
          <Anchor component={Link} to="/certificates">
            certificate
          </Anchor>{" "}
          and have it renewed by itself.
        </Empty>
      }
    />
  );
}
