import { useQuery } from "@tanstack/react-query";
import { data, inventory } from "../../api";
import { Card } from "../../parts/Card";
import { Happenings } from "../../parts/Detail";
import { Empty } from "../../parts/Empty";
import { Listing } from "../../parts/Listing";
import { When } from "../../parts/When";
import { placeOf, plain } from "../../words";

/** What happened to its lineage, the first first. */
export function Happened({ lineageId }: { lineageId: string }) {
  const asked = useQuery({
    queryKey: ["timeline", lineageId],
    queryFn: () =>
      data(
        inventory.GET("/v1/lineages/{lineage_id}/timeline", {
          params: { path: { lineage_id: lineageId }, query: { limit: 50 } },
        }),
      ),
  });
  if (!asked.data) {
    return null;
  }
  return (
    <Card title="What happened">
      <Happenings
        of={asked.data.items.map((each) => ({
          key: each.id,
          title: plain(each.kind),
          text: each.text,
          at: each.at,
        }))}
      />
    </Card>
  );
}

/** Where it was, from when until when. */
export function Whereabouts({ fingerprint }: { fingerprint: string }) {
  const path = { fingerprint };
  return (
    <Card title="Where it was">
      <Listing
        label="Where it was, and when"
        queryKey={["certificate", "history", fingerprint]}
        load={(cursor) =>
          data(
            inventory.GET("/v1/certificates/{fingerprint}/history", {
              params: { path, query: cursor ? { cursor } : {} },
            }),
          )
        }
        rowKey={(each) => `${each.place.id} ${each.since}`}
        columns={[
          { title: "Where", cell: (each) => <span className="mono">{placeOf(each.place)}</span> },
          { title: "Since", cell: (each) => <When at={each.since} /> },
          { title: "Until", cell: (each) => <When at={each.until} none="now" /> },
        ]}
        empty={<Empty title="It was nowhere">No place is known that had it.</Empty>}
      />
    </Card>
  );
}
